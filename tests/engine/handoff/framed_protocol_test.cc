#include "engine/framed_protocol.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/engine/handoff/moving_connection.h"
#include "tests/engine/line_protocol.h"

namespace ringmaster {
namespace {

struct Named {
  std::string name;
  std::string note;  // not saved

  static constexpr uint32_t kStateVersion = 1;
  void Save(StateWriter& out) const { out.Bytes(name); }
  bool Load(StateReader& in, uint32_t) {
    name = in.Bytes();
    if (name == "poison") throw std::runtime_error("on purpose");
    return name.size() <= 16;
  }
};
struct Uncounted {
  int lines = 0;
};
struct OtherLines : LineProtocol {
  static constexpr std::string_view kName = "other";
};

using NamedLines = FramedProtocol<LineProtocol, Named>;

// "=x" names the peer, another line is answered with the name in front.
void DefineNamed(NamedLines& lines) {
  lines.on_message = [](NamedLines::Peer& peer, std::string_view line) {
    if (line.starts_with('=')) {
      peer.context().name = line.substr(1);
    } else {
      peer.Send(peer.context().name + ":" + std::string(line));
    }
  };
}

TEST(FramedProtocolMove, GoesOnAtEveryCut) {
  const std::string input = "=ann\none\n=bob\n\nlonger line\n";
  for (size_t cut = 0; cut <= input.size(); ++cut) {
    NamedLines old_lines;
    NamedLines new_lines;
    DefineNamed(old_lines);
    DefineNamed(new_lines);
    MovingWorker worker(old_lines);
    MovingWorker::Peer peer = worker.Connect();
    peer.Feed(input.substr(0, cut));
    ASSERT_TRUE(peer.MoveTo(new_lines)) << cut;
    peer.Feed(input.substr(cut));
    EXPECT_EQ(peer.Read(), "ann:one\nbob:\nbob:longer line\n") << "cut at " << cut;
  }
}

TEST(FramedProtocolMove, TellsTheOldSideBeforeAndTheNewSideBehind) {
  std::vector<std::string> told;
  NamedLines old_lines;
  NamedLines new_lines;
  old_lines.on_open = [&](auto&) { told.emplace_back("old open"); };
  old_lines.on_handoff = [&](auto& peer) {
    peer.context().name = "last minute";
    peer.context().note = "gone";
    told.emplace_back("old handoff");
  };
  old_lines.on_close = [&](auto&, CloseReason) { told.emplace_back("old close"); };
  new_lines.on_open = [&](auto&) { told.emplace_back("new open"); };
  new_lines.on_adopted = [&](auto& peer) {
    told.push_back("new adopted " + peer.context().name + peer.context().note);
    peer.Send(std::string_view("welcome"));
  };
  new_lines.on_close = [&](auto& peer, CloseReason) {
    told.push_back("new close " + peer.context().name);
  };
  {
    MovingWorker worker(old_lines);
    MovingWorker::Peer peer = worker.Connect();
    ASSERT_TRUE(peer.MoveTo(new_lines));
    EXPECT_EQ(peer.Read(), "welcome\n");
    peer.Finish();
    EXPECT_EQ(peer.connection(), nullptr);
  }
  EXPECT_EQ(told, (std::vector<std::string>{"old open", "old handoff", "new adopted last minute",
                                            "new close last minute"}));
}

TEST(FramedProtocolMove, GoesOnWhereItIsWhenTheNewSideCannotTakeIt) {
  NamedLines old_lines;
  DefineNamed(old_lines);
  NamedLines same_lines;
  FramedProtocol<LineProtocol, Uncounted> unsaved_lines;
  FramedProtocol<OtherLines, Named> other_lines;
  MovingWorker worker(old_lines);
  for (const std::string name : {"a name too long by far", "poison"}) {
    MovingWorker::Peer peer = worker.Connect();
    peer.Feed("=" + name + "\nbeg");
    EXPECT_FALSE(peer.MoveTo(same_lines));
    peer.Feed("in\n");
    EXPECT_EQ(peer.Read(), name + ":begin\n");
  }
  MovingWorker::Peer peer = worker.Connect();
  // It would lose what the old side has of it; another protocol would not understand the peer.
  EXPECT_FALSE(peer.MoveTo(unsaved_lines));
  EXPECT_FALSE(peer.MoveTo(other_lines));
}

TEST(FramedProtocolMove, KeepsWhatNobodyCanSave) {
  FramedProtocol<LineProtocol, Uncounted> lines;
  MovingWorker worker(lines);
  MovingWorker::Peer peer = worker.Connect();
  EXPECT_FALSE(peer.connection()->session()->CanMove(*peer.connection()));
}

TEST(FramedProtocolMove, NeedsNoContext) {
  Lines old_lines;
  Lines new_lines;
  new_lines.on_message = [](Lines::Peer& peer, std::string_view line) { peer.Send(line); };
  MovingWorker worker(old_lines);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("beg");
  ASSERT_TRUE(peer.MoveTo(new_lines));
  peer.Feed("in\n");
  EXPECT_EQ(peer.Read(), "begin\n");
}

TEST(FramedProtocolMove, DoesNotMoveOnItsWayOut) {
  Lines lines;
  lines.on_message = [](Lines::Peer& peer, std::string_view) { peer.Close(); };
  MovingWorker worker(lines);
  MovingWorker::Peer peer = worker.Connect();
  peer.Feed("bye\n");
  ASSERT_NE(peer.connection(), nullptr);
  EXPECT_FALSE(peer.MoveTo(lines));
}

TEST(FramedProtocolMove, DamagedStateIsRefusedOrWorks) {
  NamedLines lines;
  DefineNamed(lines);
  MovingWorker worker(lines);
  MovingWorker::Peer named = worker.Connect();
  named.Feed("=ann\n");
  const std::string state = *SaveSession(*named.connection());
  int refused = 0;
  for (const std::string& damaged : Damaged(state)) {
    MovingWorker::Peer peer = worker.Connect();
    refused += peer.Restore(lines, damaged) ? 0 : 1;
    peer.Feed("x\n");
    EXPECT_TRUE(peer.Read().ends_with(":x\n"));
  }
  // Of the beginnings all, of the flipped bits those that are not in a name or a version.
  EXPECT_GT(refused, static_cast<int>(state.size()) * 4);
}

}  // namespace
}  // namespace ringmaster
