#include "engine/sandbox/sandbox_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace ringmaster {
namespace {

// Takes the next field of a line off `text`: fields are divided by blanks and tabs.
std::string_view TakeField(std::string_view& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return text = {};
  text.remove_prefix(begin);
  const std::string_view field = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(field.size());
  return field;
}

template <typename Integer>
bool TakeNumber(std::string_view& text, Integer& number, int base = 10) {
  const std::string_view field = TakeField(text);
  const char* const end = field.data() + field.size();
  const auto [rest, error] = std::from_chars(field.data(), end, number, base);
  return !field.empty() && error == std::errc() && rest == end;
}

// Real, effective, saved, file system: the second.
bool TakeEffectiveId(std::string_view text, uint32_t& id) {
  uint32_t real = 0;
  return TakeNumber(text, real) && TakeNumber(text, id);
}

}  // namespace

std::optional<SandboxState> SandboxState::Parse(std::string_view proc_status) {
  SandboxState state;
  bool has_uid = false;
  bool has_gid = false;
  while (!proc_status.empty()) {
    std::string_view line = proc_status.substr(0, proc_status.find('\n'));
    proc_status.remove_prefix(std::min(line.size() + 1, proc_status.size()));
    const std::string_view key = line.substr(0, line.find(':'));
    if (key.size() == line.size()) continue;
    std::string_view value = line.substr(key.size() + 1);
    uint32_t number = 0;
    if (key == "Uid") {
      has_uid = TakeEffectiveId(value, state.uid);
    } else if (key == "Gid") {
      has_gid = TakeEffectiveId(value, state.gid);
    } else if (key == "Groups") {
      while (TakeNumber(value, number)) state.groups.push_back(number);
    } else if (key == "CapEff") {
      TakeNumber(value, state.capabilities, 16);
    } else if (key == "CapBnd") {
      TakeNumber(value, state.bounding_capabilities, 16);
    } else if (key == "NoNewPrivs") {
      state.no_new_privs = TakeNumber(value, number) && number == 1;
    } else if (key == "Seccomp") {
      if (TakeNumber(value, number) && number <= 2) state.seccomp = static_cast<Seccomp>(number);
    }
  }
  if (!has_uid || !has_gid) return std::nullopt;
  return state;
}

std::optional<SandboxState> SandboxState::OfProcess(int32_t pid) {
  if (pid <= 0) return std::nullopt;
  std::FILE* file = std::fopen(fmt::format("/proc/{}/status", pid).c_str(), "re");
  if (file == nullptr) return std::nullopt;
  std::string text;
  char part[4096];
  while (const size_t bytes = std::fread(part, 1, sizeof(part), file)) text.append(part, bytes);
  std::fclose(file);
  return Parse(text);
}

std::string SandboxState::Describe() const {
  return fmt::format(
      "user {}, group {}{}, {}{}, {}", uid, gid,
      groups.empty() ? "" : fmt::format(" ({})", fmt::join(groups, ", ")),
      capabilities == 0 ? "no capabilities" : fmt::format("capabilities {:#x}", capabilities),
      no_new_privs ? ", no_new_privs" : "",
      seccomp == Seccomp::kFilter ? "system calls filtered" : "system calls not filtered");
}

std::string_view SeccompName(const std::optional<SandboxState::Seccomp>& seccomp) {
  if (!seccomp) return "none";
  switch (*seccomp) {
    case SandboxState::Seccomp::kOff:
      return "off";
    case SandboxState::Seccomp::kStrict:
      return "strict";
    case SandboxState::Seccomp::kFilter:
      return "filter";
  }
  return "none";
}

}  // namespace ringmaster
