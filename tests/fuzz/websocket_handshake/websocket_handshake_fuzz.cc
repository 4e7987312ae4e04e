#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/websocket/codec/field_list.h"
#include "protocols/websocket/codec/handshake.h"
#include "protocols/websocket/codec/origin.h"

// Lines "name: value" become the fields of a head; lines "+entry" become allowed origins.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringmaster;
  using namespace ringmaster::websocket;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  http::RequestHead head;
  head.method = "GET";
  std::vector<std::string> entries;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.starts_with('+')) {
      entries.emplace_back(line.substr(1));
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || head.field_count == head.kFieldsMax) continue;
    const http::Field field{line.substr(0, colon), TrimBlanks(line.substr(colon + 1))};
    if (EqualsIgnoreCase(field.name, "Host")) head.host = field.value;
    head.fields[head.field_count++] = field;
  }

  const std::vector<std::string> supported = {"chat", "superchat"};
  const Handshake handshake = CheckHandshake(head, supported);
  if (handshake.error == HandshakeError::kNone) {
    const std::string response = FormatHandshakeResponse(handshake);
    if (!response.ends_with("\r\n\r\n") || response.find('\0') != std::string::npos) std::abort();
  } else if (HandshakeErrorStatus(handshake.error) < 400) {
    std::abort();
  }

  const auto policy = OriginPolicy::FromEntries(entries);
  if (!policy.ok()) return 0;
  const OriginVerdict verdict = policy->Check(head);
  const FieldLines origin = FindFieldLines(head, "Origin");
  if (origin.count != 1) return 0;
  const auto canonical = CanonicalOrigin(origin.first);
  // Serialising is idempotent, and changes no verdict.
  if (canonical && CanonicalOrigin(*canonical) != canonical) std::abort();
  if (canonical && policy->CheckOrigin(*canonical, head.host) != verdict) std::abort();
  // Never by substring: what is allowed by a list without wildcards equals an entry.
  bool exact = canonical.has_value() && !entries.empty();
  for (const std::string& entry : entries) exact &= entry.find('*') == std::string::npos;
  if (!exact || verdict != OriginVerdict::kAllowed) return 0;
  for (const std::string& entry : entries) {
    if (CanonicalOrigin(entry) == canonical) return 0;
  }
  std::abort();
}
