#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "gtest/gtest.h"

namespace ringmaster {

// Waits until `condition`, which another thread brings about, is true: for a test that would
// otherwise judge what that thread has not come to yet.
inline void Await(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "a condition never came true";
    std::this_thread::yield();
  }
}

}  // namespace ringmaster
