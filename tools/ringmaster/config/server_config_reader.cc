#include "tools/ringmaster/config/server_config_reader.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <filesystem>

#include "engine/config/config_file.h"
#include "engine/config/config_reader.h"
#include "engine/config/units.h"
#include "protocols/http/codec/generation_header.h"
#include "tools/ringmaster/config/limits_reader.h"
#include "tools/ringmaster/config/route_reader.h"

namespace ringmaster::config {
namespace {

// Routes are looked up by hash, so this bounds only what a slip of a generator may cost.
constexpr size_t kRoutesMax = 10000;
constexpr size_t kListenersMax = 64;

void ReadLoggingObject(const ConfigValue& value, ServerConfig& config) {
  ConfigObject object(value);
  ReadLogging(object, config.server);
  std::string access_log;
  if (object.Read("access_log", access_log)) {
    using AccessLog = LoggingConfig::AccessLog;
    LoggingConfig& logging = config.logging;
    logging.access_log = access_log == "off"      ? AccessLog::kOff
                         : access_log == "stderr" ? AccessLog::kStderr
                                                  : AccessLog::kFile;
    if (logging.access_log == AccessLog::kFile) {
      // A word without a slash is rather a wrong word ("on", "stdout") than a file.
      if (access_log.find('/') == std::string::npos) {
        object.Fail("access_log",
                    fmt::format("expected \"off\", \"stderr\" or a path with a \"/\", got \"{}\"",
                                access_log));
      } else {
        logging.access_log_file = access_log;
      }
    }
  }
  object.Finish();
}

void ReadClientAddress(ConfigObject& object, http::ClientAddressSource& out) {
  using http::ClientAddressSource;
  constexpr std::pair<std::string_view, ClientAddressSource> kSources[] = {
      {"peer", ClientAddressSource::kPeer},
      {"forwarded", ClientAddressSource::kForwarded},
      {"x-forwarded-for", ClientAddressSource::kXForwardedFor},
  };
  object.ReadChoice("client_address", out, kSources);
}

void ReadGenerationHeader(ConfigObject& root, std::string& out) {
  if (!root.Read("generation_header", out)) return;
  const std::string error = http::GenerationHeaderError(out);
  if (!error.empty()) root.Fail("generation_header", error);
}

void ReadTimeoutsObject(ConfigObject& parent, Timeouts& out) {
  const auto value = parent.Get("timeouts");
  if (!value) return;
  ConfigObject object(*value);
  ReadTimeouts(object, out);
  object.Finish();
}

// An echo queues a message whole: one that the limit admits must fit the queue, or it could never
// be answered.
void CheckMessageFitsQueue(ConfigObject& parent, const RequestLimits& limits,
                           const StreamOptions& stream) {
  if (limits.message_bytes_max <= stream.send_queue_bytes_max) return;
  parent.Fail(
      "limits",
      fmt::format("message_bytes_max ({}) is above send_queue_bytes_max ({}): such a message "
                  "could not be answered by one of its size",
                  FormatByteSize(limits.message_bytes_max),
                  FormatByteSize(stream.send_queue_bytes_max)));
}

void ReadRootLimits(ConfigObject& root, ServerConfig& config) {
  const auto value = root.Get("limits");
  if (!value) return;
  ConfigObject object(*value);
  ReadServerLimits(object, config.server);
  ReadAtLimit(object, config.at_limit);
  ReadRequestLimits(object, config.limits);
  ReadStreamLimits(object, config.stream);
  CheckMessageFitsQueue(root, config.limits, config.stream);
  object.Finish();
}

void CheckOwner(ConfigObject& object, const ListenerDefinition& definition) {
  const auto value = object.Get("unix");
  if (!value) return;
  ConfigObject owner(*value);
  if (!definition.unix_owner.empty() && ::getpwnam(definition.unix_owner.c_str()) == nullptr) {
    owner.Fail("owner",
               fmt::format("there is no user \"{}\" on this machine", definition.unix_owner));
  }
  if (!definition.unix_group.empty() && ::getgrnam(definition.unix_group.c_str()) == nullptr) {
    owner.Fail("group",
               fmt::format("there is no group \"{}\" on this machine", definition.unix_group));
  }
}

void ReadListenerObject(const ConfigValue& value, const ReadOptions& options, ListenerConfig& out) {
  ConfigObject object(value);
  ReadListener(object, out.definition);
  ReadClientAddress(object, out.client_address);
  ReadTimeoutsObject(object, out.definition.stream.timeouts);
  if (const auto limits = object.Get("limits")) {
    ConfigObject reader(*limits);
    ReadRequestLimits(reader, out.limits);
    ReadStreamLimits(reader, out.definition.stream);
    ReadListenerLimits(reader, out.definition);
    ReadAtLimit(reader, out.definition.at_limit);
    reader.Finish();
    CheckMessageFitsQueue(object, out.limits, out.definition.stream);
  }
  if (options.check_machine) CheckOwner(object, out.definition);
  object.Finish();
}

void ReadListeners(ConfigObject& root, const ReadOptions& options, ServerConfig& config) {
  ListenerConfig base = config.listeners[0];  // the default address
  base.definition.stream = config.stream;
  base.definition.at_limit = config.at_limit;
  base.definition.trusted_proxies = config.trusted_proxies;
  base.client_address = config.client_address;
  base.limits = config.limits;
  config.listeners = {base};
  const auto list = root.Get("listeners");
  if (!list) return;
  const std::vector<ConfigValue> items = list->Items();
  if (list->json().kind != JsonValue::Kind::kArray) return;
  if (items.empty() || items.size() > kListenersMax) {
    list->Fail(fmt::format("expected 1 to {} listeners, got {}", kListenersMax, items.size()));
    return;
  }
  config.listeners.assign(items.size(), base);
  for (size_t i = 0; i < items.size(); ++i) {
    ReadListenerObject(items[i], options, config.listeners[i]);
    const Address& address = config.listeners[i].definition.address;
    for (size_t j = 0; j < i; ++j) {
      // Port 0 is a free port each time, so it may stand twice.
      if (!(config.listeners[j].definition.address == address)) continue;
      if (!address.is_unix() && address.port() == 0) continue;
      items[i].Fail(fmt::format("listens on {}, as listeners[{}] in line {} does already",
                                address.ToString(), j, items[j].json().position.line));
      break;
    }
  }
}

void ReadRoutes(ConfigObject& root, const ReadOptions& options, ServerConfig& config) {
  const auto list = root.Get("routes");
  if (!list) return;
  const std::vector<ConfigValue> items = list->Items();
  if (items.size() > kRoutesMax) {
    list->Fail(fmt::format("expected at most {} routes, got {}", kRoutesMax, items.size()));
    return;
  }
  config.routes.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    ConfigObject object(items[i]);
    ReadRoute(object, config.websocket, options, config.routes[i]);
    for (const ListenerConfig& listener : config.listeners) {
      if (config.routes[i].limits.message_bytes_max.value_or(0) <=
          listener.definition.stream.send_queue_bytes_max) {
        continue;
      }
      CheckMessageFitsQueue(object, config.routes[i].LimitsFor(listener),
                            listener.definition.stream);
      break;
    }
  }
  RefuseRepeatedRoutes(items, config.routes);
}

}  // namespace

ServerConfig ReadServerConfig(ConfigDocument& document, const ReadOptions& options) {
  ServerConfig config;
  ConfigObject root(document.root());
  root.Get("$schema");  // for editors
  ReadServerOptions(root, config.server);
  if (const auto logging = root.Get("logging")) ReadLoggingObject(*logging, config);
  if (const auto ring = root.Get("ring")) {
    ConfigObject object(*ring);
    ReadRing(object, config.server);
    object.Finish();
  }
  ReadTimeoutsObject(root, config.stream.timeouts);
  ReadRootLimits(root, config);
  if (const auto websocket = root.Get("websocket")) {
    ConfigObject object(*websocket);
    ReadOrigin(object, options.check_origin, config.websocket);
    object.Finish();
  }
  if (const auto admin = root.Get("admin")) {
    ConfigObject object(*admin);
    ReadAdmin(object, config.server.admin);
    object.Finish();
  }
  root.Read("trusted_proxies", config.trusted_proxies);
  ReadClientAddress(root, config.client_address);
  ReadGenerationHeader(root, config.generation_header);
  ReadListeners(root, options, config);
  ReadRoutes(root, options, config);
  root.Finish();
  return config;
}

absl::StatusOr<ServerConfig> ParseServerConfig(std::string_view text, std::string_view file_name,
                                               const ReadOptions& options) {
  ConfigDocument document{std::string(file_name), std::string(text)};
  ServerConfig config = ReadServerConfig(document, options);
  if (absl::Status status = document.status(); !status.ok()) return status;
  return config;
}

absl::StatusOr<ServerConfig> LoadServerConfig(const std::string& path, ReadOptions options) {
  absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (!text.ok()) return text.status();
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (!error) options.base_directory = absolute.parent_path().string();
  return ParseServerConfig(*text, path, options);
}

}  // namespace ringmaster::config
