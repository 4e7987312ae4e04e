#include "engine/doctor/machine_files.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace ringmaster::doctor {
namespace {

std::vector<std::string_view> Split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t begin = text.find_first_not_of(separators);
    if (begin == std::string_view::npos) return parts;
    text.remove_prefix(begin);
    const size_t end = std::min(text.find_first_of(separators), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

}  // namespace

std::string MachineFiles::Path(std::string_view path) const { return root_ + std::string(path); }

std::optional<std::string> MachineFiles::Read(std::string_view path) const {
  std::ifstream file(Path(path));
  if (!file) return std::nullopt;
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  // A directory opens and does not read.
  if (file.bad()) return std::nullopt;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::vector<int64_t> MachineFiles::ReadNumbers(std::string_view path) const {
  std::vector<int64_t> numbers;
  const std::optional<std::string> text = Read(path);
  if (!text) return numbers;
  for (const std::string_view word : Split(*text, " \t\n")) {
    if (const std::optional<int64_t> number = ToNumber(word)) numbers.push_back(*number);
  }
  return numbers;
}

std::optional<int64_t> MachineFiles::ReadNumber(std::string_view path) const {
  const std::vector<int64_t> numbers = ReadNumbers(path);
  if (numbers.empty()) return std::nullopt;
  return numbers.front();
}

std::vector<std::string> MachineFiles::List(std::string_view directory) const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(Path(directory), error);
  while (!error && entries != std::filesystem::directory_iterator()) {
    names.push_back(entries->path().filename().string());
    entries.increment(error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool MachineFiles::Exists(std::string_view path) const {
  return ::access(Path(path).c_str(), F_OK) == 0;
}

bool MachineFiles::MayWrite(std::string_view path) const {
  return ::access(Path(path).c_str(), W_OK) == 0;
}

std::vector<std::string_view> SplitWords(std::string_view text) { return Split(text, " \t"); }

std::vector<std::string_view> SplitLines(std::string_view text) { return Split(text, "\n"); }

std::optional<int64_t> ToNumber(std::string_view text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

std::optional<std::string_view> FindField(std::string_view text, std::string_view name) {
  for (std::string_view line : SplitLines(text)) {
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    if (line.empty() || (line[0] != ':' && line[0] != ' ')) continue;
    const size_t begin = line.find_first_not_of(": \t");
    if (begin == std::string_view::npos) return std::string_view();
    line.remove_prefix(begin);
    return line.substr(0, line.find_last_not_of(" \t") + 1);
  }
  return std::nullopt;
}

size_t CountCpuList(std::string_view list) {
  size_t count = 0;
  for (const std::string_view range : Split(list, ", \n")) {
    const size_t dash = range.find('-');
    const std::optional<int64_t> first = ToNumber(range.substr(0, dash));
    if (!first) continue;
    const std::optional<int64_t> last =
        dash == std::string_view::npos ? first : ToNumber(range.substr(dash + 1));
    if (last && *last >= *first) count += static_cast<size_t>(*last - *first + 1);
  }
  return count;
}

}  // namespace ringmaster::doctor
