#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/config/json_value.h"

namespace ringmaster::config {

// One thing that is wrong, where, and what would be right.
struct ConfigError {
  Position position;
  std::string path;  // "listeners[0].timeouts.read"; empty = the text as a whole
  std::string message;

  // "server.json:14: listeners[0].timeouts.read: expected ...". For a text that is no JSON the
  // column follows the line.
  std::string ToString(std::string_view file_name) const;
};

// A parsed configuration text and everything found wrong with it. Readers (config_reader.h) go on
// after an error, so that one run shows all of them.
//
//   ConfigDocument document("server.json", text);
//   ConfigObject root(document.root());
//   root.Integer("backlog", backlog, 1, 65535);
//   root.Finish();
//   if (absl::Status status = document.status(); !status.ok()) ...
class ConfigDocument {
 public:
  static constexpr size_t kErrorsMax = 20;

  // Parses at once. A text that is no JSON, or repeats a key in one object, is an error of the
  // document; the root is then an empty object, so that reading yields defaults and no further
  // complaint.
  ConfigDocument(std::string file_name, std::string text);
  ConfigDocument(const ConfigDocument&) = delete;
  ConfigDocument& operator=(const ConfigDocument&) = delete;

  class ConfigValue root();

  // Only the first kErrorsMax are kept.
  void AddError(ConfigError error);
  bool ok() const { return errors_.empty(); }
  const std::vector<ConfigError>& errors() const { return errors_; }
  const std::string& file_name() const { return file_name_; }
  // Ok, or kInvalidArgument with one line per error, in the order of the text.
  absl::Status status() const;

  // Every key that a reader asked for so far, array indexes left out: "listeners[].timeouts.read".
  // After a text that holds every object, this is the list of all keys there are.
  const std::set<std::string>& known_keys() const { return known_keys_; }
  void AddKnownKey(std::string_view path);

 private:
  void RefuseRepeatedKeys(const JsonValue& value, const std::string& path);

  std::string file_name_;
  std::string text_;  // root_ points into it
  JsonValue root_;
  std::vector<ConfigError> errors_;
  std::set<std::string> known_keys_;
};

}  // namespace ringmaster::config
