#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "engine/base/unique_fd.h"

namespace ringmaster {

// How a program ended and what it printed.
struct Finished {
  int exit_status = -1;  // -1: killed by a signal, or not over before the deadline
  std::string out;
  std::string err;
};

// A child process with its output in pipes; killed with its object.
class ChildProcess {
 public:
  explicit ChildProcess(const std::vector<std::string>& arguments);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int number) const;
  // Reads until `text` was printed `times` times, on either stream; false at the deadline or the
  // end.
  bool AwaitOutput(const std::string& text, int times = 1);
  Finished AwaitExit();
  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  // False when both streams have ended or the deadline is over.
  bool ReadSome(int64_t deadline);

  pid_t pid_ = -1;
  UniqueFd out_fd_;
  UniqueFd err_fd_;
  std::string out_;
  std::string err_;
};

// A directory with a configuration for the stand-in server, and verbs for it.
class ServerTest : public testing::Test {
 protected:
  ServerTest();
  ~ServerTest() override;

  // Lines of the configuration besides pid_file.
  void Configure(const std::string& settings);
  std::vector<std::string> CommandLine(const std::vector<std::string>& words) const;
  Finished Run(const std::vector<std::string>& words) const;
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  std::string pid_file() const { return PathOf("standin.pid"); }
  // The port in the first "listening on 127.0.0.1:PORT" of a banner.
  static uint16_t PortIn(const std::string& banner);
  // Connects to 127.0.0.1 and reads until the peer closes; empty when refused.
  static std::string AskPort(uint16_t port);
  static std::string AskUnix(const std::string& path);

 private:
  std::string directory_;
};

// True when the process has ended before the deadline.
bool AwaitProcessEnd(pid_t pid);
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& text);
// The number behind `key`, as in "pid=17"; -1 when there is none.
int NumberAfter(const std::string& text, const std::string& key);

}  // namespace ringmaster
