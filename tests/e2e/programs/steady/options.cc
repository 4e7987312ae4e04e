#include "tests/e2e/programs/steady/options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace steady {
namespace {

constexpr std::string_view kHelp =
    R"(Steady traffic against an HTTP and WebSocket server on 127.0.0.1, whose every answer is judged.

usage: steady_clients --port N [flags]

New connections, by a schedule that waits for nobody:
  --connects-per-second N     1200; 0: none
  --hello-path PATH           /hello
  --expect-body TEXT          else the first answer's

Connections that stay, each with a request or message every --interval-ms:
  --keepalive N               100; PUT of a content that must come back
  --echo-path PATH            /echo
  --websockets N              100
  --websocket-path PATH       /ws
  --origin ORIGIN             http://127.0.0.1:PORT
  --interval-ms N             50
  --idle-websockets N         0; silent, and each tried at the end
  --idle-probes-per-second N  0; how many of them are tried meanwhile

The run:
  --seconds S                 else until SIGTERM or SIGINT; may have a fraction
  --until-stdin-ends          or until then
  --timeout-ms N              5000; for each answer
  --generation-header NAME    count its values in the answers
  --progress                  a line a second on stderr

Says "ready" on stderr when all connections that stay are open, and in the end one JSON object on
stdout. Ends with 0 when nothing failed, 1 when something did, 2 for wrong usage.
)";

[[noreturn]] void Refuse(std::string_view why) {
  fmt::print(stderr, "steady_clients: {}\nsteady_clients: --help says what there is\n", why);
  std::exit(2);
}

template <typename Number>
Number ReadNumberFlag(std::string_view flag, std::string_view text, Number min, Number max) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number >= min) ||
      !(number <= max)) {
    Refuse(fmt::format("--{} must be a number from {} to {}, not \"{}\"", flag, min, max, text));
  }
  return number;
}

// For a request line or a field.
std::string ReadWord(std::string_view flag, std::string_view text, bool path) {
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7F) Refuse(fmt::format("--{} must be visible ASCII", flag));
  }
  if (path && !text.starts_with('/')) Refuse(fmt::format("--{} must begin with \"/\"", flag));
  return std::string(text);
}

struct Flag {
  std::string_view name;
  bool takes_value;
  void (*take)(std::string_view name, std::string_view value, Options& options);
};

// Not getopt_long, which takes the front of a name for it: what is wrong must not be taken for
// another.
constexpr Flag kFlags[] = {
    {"port", true,
     [](auto name, auto value, Options& options) {
       options.port = ReadNumberFlag<uint16_t>(name, value, 1, 65535);
     }},
    {"connects-per-second", true,
     [](auto name, auto value, Options& options) {
       options.connects_per_second = ReadNumberFlag<uint32_t>(name, value, 0, 100'000);
     }},
    {"keepalive", true,
     [](auto name, auto value, Options& options) {
       options.keepalive = ReadNumberFlag<size_t>(name, value, 0, 20'000);
     }},
    {"websockets", true,
     [](auto name, auto value, Options& options) {
       options.websockets = ReadNumberFlag<size_t>(name, value, 0, 20'000);
     }},
    {"idle-websockets", true,
     [](auto name, auto value, Options& options) {
       options.idle_websockets = ReadNumberFlag<size_t>(name, value, 0, 1'000'000);
     }},
    {"idle-probes-per-second", true,
     [](auto name, auto value, Options& options) {
       options.idle_probes_per_second = ReadNumberFlag<uint32_t>(name, value, 0, 100'000);
     }},
    {"interval-ms", true,
     [](auto name, auto value, Options& options) {
       options.interval = ReadNumberFlag<int64_t>(name, value, 1, 3'600'000) * kMillisecond;
     }},
    {"timeout-ms", true,
     [](auto name, auto value, Options& options) {
       options.timeout = ReadNumberFlag<int64_t>(name, value, 1, 600'000) * kMillisecond;
     }},
    {"seconds", true,
     [](auto name, auto value, Options& options) {
       options.duration =
           static_cast<Nanoseconds>(ReadNumberFlag<double>(name, value, 0.001, 1e6) * kSecond);
     }},
    {"hello-path", true,
     [](auto name, auto value, Options& options) {
       options.hello_path = ReadWord(name, value, true);
     }},
    {"echo-path", true,
     [](auto name, auto value, Options& options) {
       options.echo_path = ReadWord(name, value, true);
     }},
    {"websocket-path", true,
     [](auto name, auto value, Options& options) {
       options.websocket_path = ReadWord(name, value, true);
     }},
    {"origin", true,
     [](auto name, auto value, Options& options) {
       options.origin = ReadWord(name, value, false);
     }},
    {"generation-header", true,
     [](auto name, auto value, Options& options) {
       options.generation_header = ReadWord(name, value, false);
     }},
    {"expect-body", true,
     [](auto, auto value, Options& options) {
       options.expect_body = value;
       options.has_expect_body = true;
     }},
    {"until-stdin-ends", false,
     [](auto, auto, Options& options) { options.until_stdin_ends = true; }},
    {"progress", false, [](auto, auto, Options& options) { options.progress = true; }},
    {"help", false,
     [](auto, auto, Options&) {
       fmt::print("{}", kHelp);
       std::exit(0);
     }},
};

const Flag& FindFlag(std::string_view argument, std::string_view name) {
  for (const Flag& flag : kFlags) {
    if (flag.name == name) return flag;
  }
  Refuse(fmt::format("what is \"{}\"?", argument));
}

}  // namespace

Options ReadOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--")) Refuse(fmt::format("what is \"{}\"?", argument));
    const size_t equals = argument.find('=');
    const Flag& flag = FindFlag(argument, argument.substr(0, equals).substr(2));
    std::string_view value;
    if (equals != std::string_view::npos) {
      if (!flag.takes_value) Refuse(fmt::format("--{} takes no value", flag.name));
      value = argument.substr(equals + 1);
    } else if (flag.takes_value) {
      if (++i == argc) Refuse(fmt::format("--{} needs a value", flag.name));
      value = argv[i];
    }
    flag.take(flag.name, value, options);
  }
  if (options.port == 0) Refuse("--port is missing");
  if (options.origin.empty()) options.origin = fmt::format("http://127.0.0.1:{}", options.port);
  return options;
}

}  // namespace steady
