// Any text is a configuration or is refused with a message that names a place in it; what is
// accepted is accepted again in the same way.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/config/json_syntax.h"
#include "tools/ringmaster/config/server_config_reader.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringmaster::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  // simdjson and the scanner that explains its refusals agree on what JSON is.
  JsonValue root;
  const bool is_json = ParseJson(text, root).message.empty();
  Require(FindJsonSyntaxError(text).message.empty() == is_json);

  ReadOptions options;
  options.check_machine = false;
  ConfigDocument document("fuzz.json", std::string(text));
  const ServerConfig config = ReadServerConfig(document, options);
  size_t lines = 1;
  for (char c : text) lines += c == '\n' ? 1 : 0;
  for (const ConfigError& error : document.errors()) {
    Require(!error.message.empty());
    Require(error.position.line <= lines);
  }
  Require(document.ok() || !document.status().message().empty());
  Require(is_json || !document.ok());
  if (document.ok()) {
    const auto again = ParseServerConfig(text, "again.json", options);
    Require(again.ok() && *again == config);
  }
  return 0;
}
