#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace ringmaster {

// Runs `body` in a child, because it gives up rights that it cannot take back; what it returns
// comes back. A child that dies fails the test.
inline std::string InChild(const std::function<std::string()>& body) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    const std::string text = body();
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string all;
  char part[4096];
  while (true) {
    const ssize_t bytes = ::read(ends[0], part, sizeof(part));
    if (bytes <= 0) break;
    all.append(part, static_cast<size_t>(bytes));
  }
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
  return all;
}

}  // namespace ringmaster
