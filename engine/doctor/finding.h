#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ringmaster::doctor {

enum class Level : uint8_t {
  kOk,
  kNote,     // worth knowing; whether to change it depends on the use
  kWarning,  // costs speed or safety, or strikes under load
  kError,    // the server does not start, or not as configured
};

// One thing that was looked at.
struct Finding {
  std::string id;  // "GROUP.WHAT", stable, for programs
  Level level = Level::kOk;
  std::string found;   // what is so, with the figures
  std::string why;     // why it matters; empty for kOk
  std::string remedy;  // the exact command, or file and line; empty for kOk
};

// The findings in the order in which they were made.
class Findings {
 public:
  void Ok(std::string id, std::string found) {
    list_.push_back({std::move(id), Level::kOk, std::move(found), "", ""});
  }
  void Add(Level level, std::string id, std::string found, std::string why, std::string remedy) {
    list_.push_back({std::move(id), level, std::move(found), std::move(why), std::move(remedy)});
  }

  const std::vector<Finding>& list() const { return list_; }

 private:
  std::vector<Finding> list_;
};

}  // namespace ringmaster::doctor
