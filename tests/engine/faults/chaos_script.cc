#include "tests/engine/faults/chaos_script.h"

#include <algorithm>
#include <string_view>

#include "fmt/format.h"
#include "tests/engine/faults/chaos_server.h"

namespace ringmaster::faults {
namespace {

using simulation::Random;
using Kind = Step::Kind;

std::string Get(std::string_view path, std::string_view fields = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: chaos\r\n{}\r\n", path, fields);
}

void Send(Script& script, std::string text) {
  script.steps.push_back({Kind::kSend, std::move(text), 0});
}
void Pause(Script& script, uint64_t milliseconds) {
  script.steps.push_back({Kind::kPause, {}, static_cast<uint32_t>(milliseconds)});
}
void Await(Script& script, std::string_view text, uint64_t times) {
  script.steps.push_back({Kind::kAwait, std::string(text), static_cast<uint32_t>(times)});
}

// Cut at random places, with pauses now and then.
void SendInPieces(Script& script, std::string_view text, Random& random) {
  while (!text.empty()) {
    const size_t bytes = std::min<size_t>(text.size(), random.Between(1, text.size() / 4 + 20));
    Send(script, std::string(text.substr(0, bytes)));
    text.remove_prefix(bytes);
    if (random.Chance(0.3)) Pause(script, random.Between(1, 20));
  }
}

void DrawPipelined(Script& script, Random& random) {
  const uint64_t count = random.Between(1, 20);
  std::string requests;
  for (uint64_t i = 0; i < count; ++i) requests += Get("/hello");
  Send(script, requests);
  Await(script, kHelloBody, count);
}

void DrawUpload(Script& script, Random& random, bool broken) {
  const size_t bytes = random.Chance(0.7) ? random.Between(1, 5'000) : random.Between(1, 200'000);
  const std::string body = std::string(bytes - 1, 'u') + "!";
  std::string request = "POST /echo HTTP/1.1\r\nHost: chaos\r\n";
  if (random.Chance(0.5)) {
    request += fmt::format("Content-Length: {}\r\n\r\n{}", bytes, body);
  } else {
    const size_t first = random.Between(1, bytes);
    request += fmt::format("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n", first,
                           body.substr(0, first));
    if (first < bytes) {
      request += fmt::format("{:x}\r\n{}\r\n", bytes - first, body.substr(first));
    }
    request += "0\r\n\r\n";
  }
  if (broken) request.resize(random.Between(1, request.size() - 1));
  SendInPieces(script, request, random);
  if (!broken) Await(script, "u!", bytes > 1 ? 1 : 0);
}

void DrawSlowReader(Script& script, Random& random) {
  script.bite_bytes = static_cast<uint32_t>(random.Between(2'000, 40'000));
  const uint64_t count = random.Between(1, 4);
  std::string requests;
  for (uint64_t i = 0; i < count; ++i) requests += Get("/large");
  Send(script, requests);
  if (random.Chance(0.8)) {
    Await(script, kLargeEnd, count);
  } else {
    Pause(script, random.Between(1, 500));  // gives up
  }
}

std::string Frame(uint8_t first_byte, std::string_view payload) {
  std::string frame(1, static_cast<char>(first_byte));
  constexpr uint8_t kMasked = 0x80;
  if (payload.size() < 126) {
    frame += static_cast<char>(kMasked | payload.size());
  } else {
    frame += static_cast<char>(kMasked | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size() & 0xFF);
  }
  frame.append(4, '\0');  // masked with zeros: the bytes stay as they are
  return frame.append(payload);
}

void DrawWebSocket(Script& script, Random& random, bool rude) {
  Send(script, Get("/ws",
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
  Await(script, "\r\n\r\n", 1);
  const uint64_t count = random.Between(1, 10);
  std::string frames;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string text(random.Chance(0.8) ? random.Below(300) : random.Below(60'000), 'w');
    if (random.Chance(0.3)) {
      frames += Frame(0x01, text) + Frame(0x89, "ping") + Frame(0x80, "+end!");
    } else {
      frames += Frame(0x81, text + "+end!");
    }
  }
  if (rude) frames.resize(random.Between(1, frames.size()));
  SendInPieces(script, frames, random);
  if (rude) {
    if (random.Chance(0.5)) script.steps.push_back({Kind::kReset, {}, 0});
    return;
  }
  Await(script, "+end!", count);
  Send(script, Frame(0x88, "\x03\xe8"));
  Await(script, std::string_view("\x88\x02\x03\xe8", 4), 1);
}

void DrawLines(Script& script, Random& random) {
  script.lines = true;
  std::string all;
  for (uint64_t count = random.Between(1, 30); count > 0; --count) {
    all += std::string(random.Chance(0.9) ? random.Below(200) : random.Below(20'000), 'l') + "\n";
  }
  SendInPieces(script, all, random);
  script.steps.push_back({Kind::kFinish, {}, 0});
  script.steps.push_back({Kind::kAwaitEnd, all, 0});
}

void DrawGarbage(Script& script, Random& random) {
  script.lines = random.Chance(0.3);
  std::string bytes;
  for (uint64_t count = random.Between(1, 2'000); count > 0; --count) {
    bytes += static_cast<char>(random.Below(256));
  }
  SendInPieces(script, bytes, random);
  if (random.Chance(0.5)) script.steps.push_back({Kind::kReset, {}, 0});
}

void DrawSilent(Script& script, Random& random) {
  script.lines = random.Chance(0.5);
  if (random.Chance(0.3)) {
    script.steps.push_back({Kind::kAwaitEnd, {}, 0});  // the handshake timeout ends it
  } else {
    Pause(script, random.Below(300));
    if (random.Chance(0.5)) script.steps.push_back({Kind::kReset, {}, 0});
  }
}

void DrawAllRoutes(Script& script, Random& random) {
  switch (random.Below(3)) {
    case 0:
      Send(script, Get("/file") + Get("/hello"));
      Await(script, kFileEnd, 1);
      Await(script, kHelloBody, 1);
      break;
    case 1:
      Send(script, Get("/later") + Get("/hello") + Get("/later"));
      Await(script, kLaterBody, 2);
      break;
    default:
      Send(script, Get("/throw"));
      Await(script, "HTTP/1.1 500", 1);
  }
}

}  // namespace

Script DrawScript(Random& random) {
  Script script;
  script.behaviour = static_cast<Behaviour>(random.Below(kBehaviourCount));
  switch (script.behaviour) {
    case Behaviour::kPipelined:
      DrawPipelined(script, random);
      break;
    case Behaviour::kCut:
      SendInPieces(script, Get("/hello"), random);
      Await(script, kHelloBody, 1);
      break;
    case Behaviour::kUpload:
      DrawUpload(script, random, /*broken=*/false);
      break;
    case Behaviour::kBrokenUpload:
      DrawUpload(script, random, /*broken=*/true);
      break;
    case Behaviour::kHalfClosed:
      Send(script, Get("/hello") + Get("/large"));
      script.steps.push_back({Kind::kFinish, {}, 0});
      Await(script, kLargeEnd, 1);
      script.steps.push_back({Kind::kAwaitEnd, {}, 0});
      break;
    case Behaviour::kAllRoutes:
      DrawAllRoutes(script, random);
      break;
    case Behaviour::kSlowReader:
      DrawSlowReader(script, random);
      break;
    case Behaviour::kDeaf:
      Send(script, Get("/large") + Get("/file") + Get("/large"));
      Pause(script, random.Below(50));
      script.steps.push_back({Kind::kReset, {}, 0});
      break;
    case Behaviour::kWebSocket:
      DrawWebSocket(script, random, /*rude=*/false);
      break;
    case Behaviour::kRudeSocket:
      DrawWebSocket(script, random, /*rude=*/true);
      break;
    case Behaviour::kLines:
      DrawLines(script, random);
      break;
    case Behaviour::kGarbage:
      DrawGarbage(script, random);
      break;
    case Behaviour::kSilent:
      DrawSilent(script, random);
      break;
  }
  return script;
}

}  // namespace ringmaster::faults
