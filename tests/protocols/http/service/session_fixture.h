#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/http/service/body_stream.h"
#include "protocols/http/service/response.h"
#include "tests/protocols/http/service/live_server.h"

namespace ringmaster::http {

inline constexpr std::string_view kGet = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
inline constexpr std::string_view kGetAndClose =
    "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

inline int CountOf(std::string_view text, std::string_view part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    count++;
  return count;
}

// A server with one route for everything that a session can be asked to do.
class HttpSessionTest : public ::testing::Test {
 protected:
  explicit HttpSessionTest(ServiceOptions options = {}) : server(options) {
    Service& web = server.service;
    Add(web.Get("/hello", [](Request&, Response& response) { response.Text("Hello"); }));
    Add(web.Any("/echo",
                [](Request& request, Response& response) { response.Text(request.body()); }));
    Add(web.Post("/small",
                 [](Request& request, Response& response) { response.Text(request.body()); },
                 {.body_bytes_max = 10, .stream = std::nullopt}));
    Add(web.Post("/required", [](Request&, Response& response) { response.End(); },
                 {.body_required = true, .stream = std::nullopt}));
    Add(web.Get("/users/:id", [](Request& request, Response& response) {
      response.Text(std::string(request.param("id")) + "|" + request.query("q").value_or("-") +
                    "|" + std::string(request.header("x-y").value_or("-")) + "|" +
                    std::string(request.cookie("c").value_or("-")));
    }));
    Add(web.Get("/throw", [](Request&, Response&) { throw std::runtime_error("on purpose"); }));
    Add(web.Get("/silent", [](Request&, Response&) {}));
    Add(web.Get("/inject", [](Request&, Response& response) {
      response.Header("A", "b\r\nC: d").Text("never");
    }));
    Add(web.Get("/stream", [](Request&, Response& response) {
      response.Write("one");
      response.Write("two");
      response.End();
    }));
    Add(web.Get("/later", [this](Request&, Response& response) {
      pending.push_back(response.Defer());
      if (pending.size() >= wanted_pending) AnswerBackwards();
    }));
    Add(web.Get("/forgotten", [](Request&, Response& response) { response.Defer(); }));
    Add(web.Post("/json", [](Request& request, Response& response) {
      absl::StatusOr<simdjson::dom::element> json = request.Json();
      int64_t value = 0;
      if (!json.ok() || (*json)["a"].get(value) != simdjson::SUCCESS) {
        response.Error(400, std::string(json.status().message()));
        return;
      }
      response.Text(std::to_string(value));
    }));
    Add(web.Post("/trailer", [](Request& request, Response& response) {
      response.Text(std::string(request.body()) + "|" +
                    std::string(request.trailer("x").value_or("-")));
    }));
    Add(web.StreamingRoute("POST", "/upload", [](Request&, Response& response, BodyStream& body) {
      auto text = std::make_shared<std::string>();
      body.on_data = [text](std::string_view piece) { text->append(piece); };
      body.on_end = [text, later = response.Defer()](std::string_view trailers) mutable {
        later.With([&](Response& answer) { answer.Text(*text + "|" + std::string(trailers)); });
      };
    }));
    Add(web.StreamingRoute("POST", "/unwanted",
                           [](Request&, Response& response, BodyStream&) { response.Error(403); }));
  }
  ~HttpSessionTest() override { server.Stop(); }

  void Add(const absl::Status& status) { ASSERT_TRUE(status.ok()) << status.ToString(); }

  void AnswerBackwards() {
    while (!pending.empty()) {
      const std::string text = "answer " + std::to_string(pending.size());
      pending.back().With([&](Response& response) { response.Text(text); });
      pending.pop_back();
    }
  }

  // Used on the worker's thread alone once the server runs.
  std::vector<PendingResponse> pending;
  size_t wanted_pending = 3;
  LiveServer server;
};

}  // namespace ringmaster::http
