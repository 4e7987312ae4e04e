#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "engine/doctor/groups.h"

namespace ringmaster::doctor {

// A machine made of the files that a test writes.
class FakeMachine {
 public:
  FakeMachine() {
    char name[] = "/tmp/ringmaster-test-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~FakeMachine() { std::filesystem::remove_all(root_); }
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  void Write(std::string_view path, std::string_view text) {
    const std::filesystem::path file = root_ + std::string(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  void MakeDirectory(std::string_view path) {
    std::filesystem::create_directories(root_ + std::string(path));
  }
  MachineFiles files() const { return MachineFiles(root_); }

 private:
  std::string root_;
};

// The one finding of that id; one with an empty id when there is none.
inline Finding FindingOf(const Findings& findings, std::string_view id) {
  for (const Finding& finding : findings.list()) {
    if (finding.id == id) return finding;
  }
  return {};
}

}  // namespace ringmaster::doctor
