#include "protocols/http/codec/forwarded.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "protocols/http/codec/characters.h"

namespace ringmaster::http {
namespace {

using Kind = ForwardedNode::Kind;

// Longer than any node that means something: an IPv6 address, brackets, a port.
constexpr size_t kNodeBytesMax = 256;

bool ParseIp(int family, std::string_view text, uint8_t* bytes) {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof(terminated)) return false;
  // inet_pton reads to the first NUL; one inside would hide the rest.
  if (text.find('\0') != std::string_view::npos) return false;
  memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  uint8_t address[16];  // what a failure writes here is not ours to know
  if (inet_pton(family, terminated, address) != 1) return false;
  memcpy(bytes, address, family == AF_INET ? 4 : 16);
  return true;
}

// `obfnode` and `obfport` of RFC 7239: "_" and letters, digits, ".", "_", "-".
bool IsObfuscated(std::string_view text) {
  if (text.size() < 2 || text.front() != '_') return false;
  return std::all_of(text.begin() + 1, text.end(), [](char c) {
    return IsAlpha(c) || IsDigit(c) || c == '.' || c == '_' || c == '-';
  });
}

// `node-port`: 1*5DIGIT or obfport, which leaves the port unknown.
bool ParsePort(std::string_view text, uint16_t& port) {
  if (IsObfuscated(text)) return true;
  if (text.empty() || text.size() > 5) return false;
  uint32_t value = 0;
  for (const char c : text) {
    if (!IsDigit(c)) return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  if (value > 65535) return false;
  port = static_cast<uint16_t>(value);
  return true;
}

Kind ParseNodeName(std::string_view name, uint8_t* bytes) {
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') {
    return ParseIp(AF_INET6, name.substr(1, name.size() - 2), bytes) ? Kind::kIpv6
                                                                     : Kind::kMalformed;
  }
  if (ParseIp(AF_INET, name, bytes)) return Kind::kIpv4;
  if (EqualsIgnoreCase(name, "unknown")) return Kind::kUnknown;
  return IsObfuscated(name) ? Kind::kObfuscated : Kind::kMalformed;
}

// One element of a Forwarded field line, from the front of `rest`.
class ElementReader {
 public:
  explicit ElementReader(std::string_view& rest) : rest_(rest) {}

  // Reads up to the comma that ends the element, or to the end. False: the element is empty.
  bool Read(ForwardedNode& node) {
    bool any = false;
    bool good = true;
    node = ForwardedNode();
    node.kind = Kind::kUnknown;
    SkipBlanks();
    while (good && !AtElementEnd()) {
      if (rest_.front() == ';') {  // a pair may be left out
        rest_.remove_prefix(1);
      } else {
        any = true;
        good = ReadPair(node);
      }
      SkipBlanks();
    }
    if (!good) {
      node = ForwardedNode();
      rest_.remove_prefix(std::min(rest_.find(','), rest_.size()));
    }
    return any;
  }

 private:
  bool AtElementEnd() const { return rest_.empty() || rest_.front() == ','; }
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) rest_.remove_prefix(1);
  }

  std::string_view TakeToken() {
    size_t bytes = 0;
    while (bytes < rest_.size() && Is(kTokenChar, rest_[bytes])) ++bytes;
    const std::string_view token = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return token;
  }

  // forwarded-pair = token "=" value, and what must follow: ";", "," or the end.
  bool ReadPair(ForwardedNode& node) {
    const std::string_view name = TakeToken();
    if (name.empty() || rest_.empty() || rest_.front() != '=') return false;
    rest_.remove_prefix(1);
    value_bytes_ = 0;
    if (!ReadValue()) return false;
    SkipBlanks();
    if (!AtElementEnd() && rest_.front() != ';') return false;
    if (!EqualsIgnoreCase(name, "for")) return true;
    // "Each parameter MUST NOT occur more than once per field-value" (section 4).
    if (for_seen_ || value_bytes_ > kNodeBytesMax) return false;
    for_seen_ = true;
    node = ParseForwardedNode({value_, value_bytes_});
    return node.kind != Kind::kMalformed;
  }

  void AppendValue(char c) {
    if (value_bytes_ < kNodeBytesMax) value_[value_bytes_] = c;
    ++value_bytes_;
  }

  bool ReadValue() {
    if (rest_.empty() || rest_.front() != '"') {
      const std::string_view token = TakeToken();
      for (const char c : token) AppendValue(c);
      return !token.empty();
    }
    for (size_t i = 1; i < rest_.size(); ++i) {
      char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        return true;
      }
      if (c == '\\') {  // quoted-pair, RFC 9110 section 5.6.4
        if (++i == rest_.size()) break;
        c = rest_[i];
      }
      AppendValue(c);
    }
    // Never closed: nobody can say which comma would end the element.
    rest_ = {};
    return false;
  }

  std::string_view& rest_;
  bool for_seen_ = false;
  size_t value_bytes_ = 0;  // of the value; only the first kNodeBytesMax are kept
  char value_[kNodeBytesMax];
};

}  // namespace

ForwardedNode ParseForwardedNode(std::string_view text) {
  ForwardedNode node;
  size_t name_bytes = text.size();
  if (!text.empty() && text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket != std::string_view::npos) name_bytes = bracket + 1;
  } else {
    name_bytes = std::min(text.find(':'), text.size());
  }
  const std::string_view port = text.substr(name_bytes);
  if (!port.empty() && (port.front() != ':' || !ParsePort(port.substr(1), node.port))) return {};
  node.kind = ParseNodeName(text.substr(0, name_bytes), node.bytes);
  return node.kind == Kind::kMalformed ? ForwardedNode() : node;
}

void ForwardedChain::AddForwarded(std::string_view value) {
  while (!value.empty()) {
    ForwardedNode node;
    if (ElementReader(value).Read(node)) Add(node);
    if (!value.empty()) value.remove_prefix(1);  // the comma
  }
}

void ForwardedChain::AddXForwardedFor(std::string_view value) {
  ForEachListElement(value, [this](std::string_view element) {
    if (element.empty()) return true;
    ForwardedNode node;
    // Here an IPv6 address usually stands without brackets.
    if (ParseIp(AF_INET6, element, node.bytes)) {
      node.kind = Kind::kIpv6;
    } else {
      node = ParseForwardedNode(element);
    }
    Add(node);
    return true;
  });
}

}  // namespace ringmaster::http
