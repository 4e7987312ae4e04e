#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringmaster::doctor {

// What the kernel says about itself in /proc and /sys, below a root: "" is this machine, a test's
// directory is a machine of its own making. What cannot be read is absent, as on a kernel without
// it.
class MachineFiles {
 public:
  explicit MachineFiles(std::string root = "") : root_(std::move(root)) {}

  // Without the line break at the end.
  std::optional<std::string> Read(std::string_view path) const;
  // The first number in the file.
  std::optional<int64_t> ReadNumber(std::string_view path) const;
  // All numbers in the file, "32768\t60999" for one.
  std::vector<int64_t> ReadNumbers(std::string_view path) const;
  // Names in the directory, sorted; empty when there is none.
  std::vector<std::string> List(std::string_view directory) const;
  bool Exists(std::string_view path) const;
  // Whether this process may write there: access(2), with the rights that it runs with.
  bool MayWrite(std::string_view path) const;

 private:
  std::string Path(std::string_view path) const;

  std::string root_;
};

// The value behind "NAME:" or "NAME " at the start of a line, without space around: the form of
// /proc/self/status and /proc/meminfo.
std::optional<std::string_view> FindField(std::string_view text, std::string_view name);

// Words between spaces and tabs.
std::vector<std::string_view> SplitWords(std::string_view text);
std::vector<std::string_view> SplitLines(std::string_view text);

// Whole text as a number; nullopt otherwise.
std::optional<int64_t> ToNumber(std::string_view text);

// How many CPUs are in a list such as "0-3,8" (/sys/devices/system/cpu/online). 0 for an empty one.
size_t CountCpuList(std::string_view list);

}  // namespace ringmaster::doctor
