#include "tools/ringmaster/config/route_reader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <filesystem>

#include "absl/container/flat_hash_map.h"
#include "tools/ringmaster/config/limits_reader.h"

namespace ringmaster::config {
namespace {

constexpr std::pair<std::string_view, RouteType> kRouteTypes[] = {
    {"text", RouteType::kText},
    {"json", RouteType::kJson},
    {"echo", RouteType::kEcho},
    {"static", RouteType::kStatic},
    {"page", RouteType::kPage},
    {"status", RouteType::kStatus},
    {"websocket-echo", RouteType::kWebsocketEcho},
};

bool IsTokenCharacter(char c) {  // RFC 9110 section 5.6.2
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

void ReadPath(ConfigObject& object, RouteConfig& out) {
  if (!object.Read("path", out.path)) {
    if (!object.Get("path")) object.Fail("path", "is missing; write \"path\": \"/hello\"");
    return;
  }
  const bool plain = std::all_of(out.path.begin(), out.path.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '%';
  });
  if (out.path.front() != '/' || !plain) {
    object.Fail("path", fmt::format("expected a path that begins with \"/\" and holds no space, "
                                    "\"?\", \"#\" or \"%\", got \"{}\"",
                                    out.path));
  } else if (out.type == RouteType::kStatic && out.path.back() != '/') {
    object.Fail("path",
                fmt::format("the path of a static route ends with \"/\"; write \"{}/\"", out.path));
  }
}

void ReadMethods(ConfigObject& object, RouteConfig& out) {
  out.methods.clear();
  if (out.type != RouteType::kEcho) out.methods = {"GET"};
  const auto list = object.Get("methods");
  if (!list) return;
  const bool chooses =
      out.type == RouteType::kText || out.type == RouteType::kJson || out.type == RouteType::kEcho;
  if (!chooses) {
    list->Fail(fmt::format("a route of type \"{}\" answers GET; leave the key out",
                           RouteTypeName(out.type)));
    return;
  }
  std::vector<std::string> methods;
  for (const ConfigValue& item : list->Items()) {
    std::string method;
    if (!item.Read(method)) continue;
    const bool token = std::all_of(method.begin(), method.end(), IsTokenCharacter);
    const bool lower =
        std::any_of(method.begin(), method.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (!token || lower) {
      item.FailExpected("a method in capitals such as \"GET\" or \"POST\"");
    } else if (std::find(methods.begin(), methods.end(), method) != methods.end()) {
      item.Fail(fmt::format("\"{}\" stands twice in the list", method));
    }
    methods.push_back(std::move(method));
  }
  if (methods.empty() && list->json().kind == JsonValue::Kind::kArray &&
      out.type != RouteType::kEcho) {
    list->Fail("the list is empty; leave the key out for [\"GET\"]");
  }
  out.methods = std::move(methods);
}

// A key that has no meaning for this type is a mistake, not a comment.
void RefuseForOtherTypes(ConfigObject& object, std::string_view key, RouteType type,
                         std::initializer_list<RouteType> types) {
  if (!object.Get(key) || std::find(types.begin(), types.end(), type) != types.end()) return;
  std::string names;
  for (RouteType allowed : types) {
    if (!names.empty()) names += " and ";
    names += fmt::format("\"{}\"", RouteTypeName(allowed));
  }
  object.Fail(key, fmt::format("only a route of type {} has it, this one is \"{}\"", names,
                               RouteTypeName(type)));
}

void ReadBody(ConfigObject& object, RouteConfig& out) {
  const auto body = object.Get("body");
  if (!body) {
    if (out.type == RouteType::kJson) out.body = "{}";
    return;
  }
  if (out.type == RouteType::kText) body->ReadText(out.body);
  if (out.type != RouteType::kJson) return;
  const std::string_view raw = body->json().raw;
  out.body.resize(raw.size());
  size_t bytes = 0;
  if (simdjson::minify(raw.data(), raw.size(), out.body.data(), bytes) != simdjson::SUCCESS) {
    body->FailExpected("a JSON value");
    bytes = 0;
  }
  out.body.resize(bytes);
}

void ReadContentType(ConfigObject& object, RouteConfig& out) {
  if (out.type == RouteType::kJson) out.content_type = "application/json";
  std::string type;
  if (!object.Read("content_type", type)) return;
  const bool ascii =
      std::all_of(type.begin(), type.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  const size_t slash = type.find('/');
  if (!ascii || slash == std::string::npos || slash == 0 || slash + 1 == type.size()) {
    object.Fail(
        "content_type",
        fmt::format("expected a media type such as \"text/html; charset=utf-8\", got \"{}\"",
                    type));
    return;
  }
  out.content_type = type;
}

void ReadDirectory(ConfigObject& object, const ReadOptions& options, RouteConfig& out) {
  std::string directory;
  const bool read = object.Read("directory", directory);
  if (out.type != RouteType::kStatic) return;
  if (!object.Get("directory")) {
    object.Fail("directory", "is missing; a static route says which directory it serves");
  }
  if (!read) return;
  const std::filesystem::path path =
      (std::filesystem::path(options.base_directory) / directory).lexically_normal();
  out.directory = path.string();
  if (!options.check_machine) return;
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    object.Fail("directory", fmt::format("there is no directory {}", out.directory));
  } else if (!std::filesystem::is_directory(status)) {
    object.Fail("directory", fmt::format("{} is not a directory", out.directory));
  }
}

}  // namespace

void ReadRoute(ConfigObject& object, const OriginConfig& websocket, const ReadOptions& options,
               RouteConfig& out) {
  if (!object.ReadChoice("type", out.type, kRouteTypes) && !object.Get("type")) {
    object.Fail("type",
                "is missing; write \"type\": \"text\", \"json\", \"echo\", \"static\", "
                "\"page\", \"status\" or \"websocket-echo\"");
  }
  ReadPath(object, out);
  ReadMethods(object, out);
  // 200 is the least that is a final answer with content; 1xx is not final.
  object.Read("status", out.status, 200, 599);
  if (out.status == 204 || out.status == 205 || out.status == 304) {
    object.Fail("status",
                fmt::format("{} has no content, so a route cannot answer it", out.status));
  }
  ReadContentType(object, out);
  ReadBody(object, out);
  ReadDirectory(object, options, out);
  if (out.type == RouteType::kWebsocketEcho) out.origin = websocket;
  ReadOrigin(object, options.check_origin, out.origin);
  RefuseForOtherTypes(object, "status", out.type, {RouteType::kText, RouteType::kJson});
  RefuseForOtherTypes(object, "content_type", out.type, {RouteType::kText, RouteType::kJson});
  RefuseForOtherTypes(object, "body", out.type, {RouteType::kText, RouteType::kJson});
  RefuseForOtherTypes(object, "directory", out.type, {RouteType::kStatic});
  RefuseForOtherTypes(object, "allowed_origins", out.type, {RouteType::kWebsocketEcho});
  RefuseForOtherTypes(object, "missing_origin", out.type, {RouteType::kWebsocketEcho});
  if (const auto timeouts = object.Get("timeouts")) {
    ConfigObject reader(*timeouts);
    ReadTimeoutOverrides(reader, out.timeouts);
    reader.Finish();
  }
  if (const auto limits = object.Get("limits")) {
    ConfigObject reader(*limits);
    ReadRouteLimits(reader, out.limits);
    reader.Finish();
  }
  object.Finish();
}

void RefuseRepeatedRoutes(const std::vector<ConfigValue>& values,
                          const std::vector<RouteConfig>& routes) {
  // The first route of a path and method; "" stands for any method, which overlaps with all.
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, size_t>> first;
  for (size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].path.empty()) continue;
    auto& methods = first[routes[i].path];
    std::vector<std::string> own = routes[i].methods;
    if (own.empty()) own.push_back("");
    for (const std::string& method : own) {
      auto taken = methods.find(method);
      if (taken == methods.end()) taken = methods.find("");
      if (taken == methods.end() && method.empty()) taken = methods.begin();
      if (taken != methods.end()) {
        values[i].Fail(fmt::format("{} {} is answered already by routes[{}] in line {}",
                                   method.empty() ? "any method of" : method, routes[i].path,
                                   taken->second, values[taken->second].json().position.line));
        break;
      }
    }
    for (const std::string& method : own) methods.try_emplace(method, i);
  }
}

}  // namespace ringmaster::config
