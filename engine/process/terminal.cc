#include "engine/process/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "engine/base/write_all.h"
#include "engine/stats/shared_status.h"

namespace ringmaster {
namespace {

// Control sequences that xterm made usual and every terminal of today understands.
constexpr std::string_view kAlternateScreen = "\x1b[?1049h";
constexpr std::string_view kNormalScreen = "\x1b[?1049l";
constexpr std::string_view kHideCursor = "\x1b[?25l";
constexpr std::string_view kShowCursor = "\x1b[?25h";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearToEndOfLine = "\x1b[K";
constexpr std::string_view kClearToEndOfScreen = "\x1b[J";
constexpr std::string_view kReverse = "\x1b[7m";
constexpr std::string_view kPlain = "\x1b[m";

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
constexpr ScreenSize kUsualSize = {80, 24};

// That it fails is no news: the terminal is gone, and SIGHUP is on its way.
void Write(std::string_view text) { static_cast<void>(WriteAll(STDOUT_FILENO, text)); }

}  // namespace

absl::StatusOr<std::unique_ptr<Terminal>> Terminal::Open() {
  const char* kind = std::getenv("TERM");
  if (::isatty(STDOUT_FILENO) == 0 || kind == nullptr || std::string_view(kind) == "dumb") {
    return absl::FailedPreconditionError("the standard output is no terminal");
  }
  std::unique_ptr<Terminal> terminal(new Terminal());
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kSignals) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, &terminal->signals_before_) != 0) {
    return absl::ErrnoToStatus(errno, "cannot block signals");
  }
  terminal->signals_.Reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!terminal->signals_.valid()) return absl::ErrnoToStatus(errno, "cannot make a signalfd");
  terminal->has_keys_ = ::tcgetattr(STDIN_FILENO, &terminal->before_) == 0;
  terminal->Enter();
  return terminal;
}

Terminal::~Terminal() {
  Leave();
  if (signals_.valid()) ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
}

void Terminal::Enter() {
  if (has_keys_) {
    termios raw = before_;
    // ISIG stays: Ctrl-C and Ctrl-Z arrive as the signals that other programs send too.
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  Write(kAlternateScreen);
  Write(kHideCursor);
  entered_ = true;
}

void Terminal::Leave() {
  if (!std::exchange(entered_, false)) return;
  Write(kShowCursor);
  Write(kNormalScreen);
  // Drops keys that were typed at the view and are not meant for the shell.
  if (has_keys_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

ScreenSize Terminal::size() const {
  winsize window = {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 ||
      window.ws_row == 0) {
    return kUsualSize;
  }
  return {window.ws_col, window.ws_row};
}

void Terminal::Show(const std::vector<ScreenLine>& lines) {
  std::string out(kHome);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\r\n";
    if (lines[i].heading) out += kReverse;
    out += lines[i].text;
    if (lines[i].heading) out += kPlain;
    out += kClearToEndOfLine;
  }
  out += kClearToEndOfScreen;
  Write(out);
}

Terminal::Event Terminal::Wait(TimePoint deadline) {
  while (true) {
    const TimePoint left = std::max<TimePoint>(deadline - MonotonicNow(), 0);
    const auto milliseconds =
        static_cast<int>(std::min<TimePoint>((left + 999'999) / 1'000'000, INT_MAX));
    pollfd entries[2] = {{signals_.get(), POLLIN, 0}, {has_keys_ ? STDIN_FILENO : -1, POLLIN, 0}};
    const int ready = ::poll(entries, 2, milliseconds);
    if (ready == 0) return Event::kTimeout;
    if (ready < 0) continue;  // EINTR: nothing else can happen to these two
    Event event = Event::kTimeout;
    if (entries[0].revents != 0) event = OnSignals();
    if (event == Event::kTimeout && entries[1].revents != 0) event = OnKeys();
    if (event != Event::kTimeout) return event;
  }
}

Terminal::Event Terminal::OnSignals() {
  signalfd_siginfo info = {};
  Event event = Event::kTimeout;
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (static_cast<int>(info.ssi_signo)) {
      case SIGTSTP:
        Leave();
        ::raise(SIGSTOP);
        Enter();
        event = Event::kRedraw;
        break;
      case SIGCONT:
      case SIGWINCH:
        event = Event::kRedraw;
        break;
      default:
        quit_signal_ = static_cast<int>(info.ssi_signo);
        return Event::kQuit;
    }
  }
  return event;
}

Terminal::Event Terminal::OnKeys() {
  char keys[64];
  const ssize_t bytes = ::read(STDIN_FILENO, keys, sizeof(keys));
  if (bytes <= 0) {
    has_keys_ = false;  // closed: poll would not wait any more
    return Event::kTimeout;
  }
  for (const char key : std::string_view(keys, static_cast<size_t>(bytes))) {
    if (key == 'q' || key == 'Q') return Event::kQuit;
    if (key == ' ') return Event::kRefresh;
  }
  return Event::kTimeout;
}

}  // namespace ringmaster
