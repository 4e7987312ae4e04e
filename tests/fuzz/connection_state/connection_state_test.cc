#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "gtest/gtest.h"
#include "tests/engine/worker/loopback.h"
#include "tests/fuzz/connection_state/connection_state_worker.h"

// States of real connections, and everything that can become of one byte of them. With
// CONNECTION_STATE_SEEDS set, the seeds of the fuzz target are written into that folder.

namespace ringmaster {
namespace {

struct Example {
  std::string name;
  int listener;
  std::string before;  // what its peer said until it was saved
  std::string behind;  // and what it says then
};

std::string Masked(std::string_view payload, uint8_t first = 0x81) {
  std::string frame;
  frame += static_cast<char>(first);
  frame += static_cast<char>(0x80 | payload.size());
  frame.append(4, '\0');  // the masking key
  return frame.append(payload);
}

std::vector<Example> Examples() {
  const std::string upgrade =
      "GET /play HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const std::string get = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string proxy = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n";
  return {
      {"http_fresh", 0, "", get},
      {"http_idle", 0, get, get},
      {"http_head", 0, get.substr(0, 20), get.substr(20)},
      {"websocket_idle", 0, upgrade, Masked("hello")},
      {"websocket_fragment", 0, upgrade + Masked("hel", 0x01), Masked("lo", 0x80)},
      {"websocket_frame", 0, upgrade + Masked("hello").substr(0, 8), Masked("hello").substr(8)},
      {"proxy_header", 1, proxy.substr(0, 10), proxy.substr(10) + get},
      {"proxy_behind", 1, proxy + get, get},
      {"lines_fresh", 2, "", "line\n"},
      {"lines_part", 2, "line\nli", "ne\n"},
  };
}

class ConnectionStateTest : public testing::Test {
 protected:
  static std::map<std::string, std::string> States() {
    std::map<std::string, std::string> states;
    std::vector<UniqueFd> listening(3);
    std::vector<uint16_t> ports(3);
    for (size_t i = 0; i < 3; ++i) listening[i].Reset(ListenOnLoopback(ports[i]));
    ConnectionStateWorker worker({listening[0].get(), listening[1].get(), listening[2].get()});
    uint64_t id = 0;
    for (const Example& example : Examples()) {
      ++id;
      const UniqueFd client(ConnectTo(ports[example.listener]));
      SendAll(client.get(), example.before);
      for (int turns = 0; turns < 10'000; ++turns) {
        worker.Turn();
        const Connection* const connection = worker.worker().Find(id);
        if (connection != nullptr && connection->bytes_received() == example.before.size()) break;
      }
      worker.Turn();
      states[example.name] = worker.SaveOf(id);
      EXPECT_NE(states[example.name], "") << example.name << " does not move";
    }
    return states;
  }
  void SetUp() override {
    ASSERT_TRUE(log::Setup("off", "text", "", "test").ok());
    states_ = States();
  }
  std::map<std::string, std::string> states_;
  ConnectionStateWorker worker_;
};

TEST_F(ConnectionStateTest, WhatWasSavedIsTaken) {
  const char* const folder = std::getenv("CONNECTION_STATE_SEEDS");
  for (const Example& example : Examples()) {
    const std::string& state = states_[example.name];
    EXPECT_TRUE(worker_.LiveThrough(state, example.behind)) << example.name;
    if (folder == nullptr) continue;
    std::ofstream seed(std::string(folder) + "/" + example.name, std::ios::binary);
    seed << static_cast<char>(state.size()) << static_cast<char>(state.size() >> 8) << state
         << example.behind;
  }
}

TEST_F(ConnectionStateTest, EveryBeginningIsRefused) {
  for (const Example& example : Examples()) {
    const std::string& state = states_[example.name];
    for (size_t bytes = 0; bytes < state.size(); ++bytes) {
      EXPECT_FALSE(worker_.LiveThrough(state.substr(0, bytes), example.behind))
          << example.name << " cut at " << bytes;
    }
    EXPECT_FALSE(worker_.LiveThrough(state + "x", example.behind));
  }
}

TEST_F(ConnectionStateTest, EveryDamagedByteIsRefusedOrLivedThrough) {
  for (const Example& example : Examples()) {
    const std::string& state = states_[example.name];
    int refused = 0;
    for (size_t i = 0; i < state.size(); ++i) {
      for (const int damage : {0x01, 0x02, 0x10, 0x40, 0x80, 0xff}) {
        std::string damaged = state;
        damaged[i] = static_cast<char>(damaged[i] ^ damage);
        refused += worker_.LiveThrough(damaged, example.behind) ? 0 : 1;
      }
    }
    EXPECT_GT(refused, static_cast<int>(state.size())) << example.name;
  }
}

}  // namespace
}  // namespace ringmaster
