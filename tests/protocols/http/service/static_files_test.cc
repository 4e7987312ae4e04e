#include "protocols/http/service/static_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/protocols/http/service/live_server.h"

namespace ringmaster::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kModified = "Sun, 06 Nov 1994 08:49:37 GMT";

class StaticFilesTest : public ::testing::Test {
 protected:
  StaticFilesTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "static_files_XXXXXX";
    root_ = mkdtemp(pattern.data());
    std::filesystem::create_directories(root_ / "www/sub");
    Write("secret.txt", "secret");
    Write("www/a.css", "0123456789");
    Write("www/sub/index.html", "<p>index");
    Write("www/.hidden", "hidden");
    for (size_t i = 0; i < 300'000; i++) large_ += static_cast<char>('a' + i % 26);
    Write("www/large.bin", large_);
    std::filesystem::create_symlink("../secret.txt", root_ / "www/link_out");
    std::filesystem::create_symlink(root_ / "secret.txt", root_ / "www/link_absolute");
    std::filesystem::create_symlink("a.css", root_ / "www/link_in");
    mkfifo((root_ / "www/fifo").c_str(), 0600);
    EXPECT_TRUE(server.service.Static("/static", root_ / "www").ok());
    server.Start();
  }
  ~StaticFilesTest() override {
    server.Stop();
    std::filesystem::remove_all(root_);
  }

  void Write(const std::string& name, std::string_view content) {
    std::ofstream(root_ / name, std::ios::binary) << content;
    const timespec times[2] = {{784111777, 0}, {784111777, 0}};
    utimensat(AT_FDCWD, (root_ / name).c_str(), times, 0);
  }
  std::string Get(std::string_view path, std::string_view lines = "",
                  std::string_view method = "GET") {
    return server.Exchange(std::string(method) + " " + std::string(path) +
                           " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + std::string(lines) +
                           "\r\n");
  }
  std::string Etag() {
    const std::string answer = Get("/static/a.css");
    const size_t begin = answer.find("ETag: ") + 6;
    return answer.substr(begin, answer.find("\r\n", begin) - begin);
  }

  std::filesystem::path root_;
  std::string large_;
  LiveServer server;
};

TEST_F(StaticFilesTest, ServesAFileWithItsMetadata) {
  EXPECT_THAT(
      Get("/static/a.css"),
      AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Type: text/css; charset=utf-8\r\n"),
            HasSubstr("ETag: \""), HasSubstr("Last-Modified: " + std::string(kModified) + "\r\n"),
            HasSubstr("Content-Length: 10\r\n"), EndsWith("\r\n\r\n0123456789")));
  EXPECT_THAT(Get("/static/link_in"), EndsWith("0123456789"));
  EXPECT_THAT(Get("/static/a.css", "", "HEAD"),
              AllOf(HasSubstr("Content-Length: 10\r\n"), EndsWith("\r\n\r\n")));
  EXPECT_THAT(Get("/static/large.bin"), EndsWith("\r\n\r\n" + large_));
}

TEST_F(StaticFilesTest, NeverLeavesItsDirectory) {
  for (std::string_view path :
       {"/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/sub/../../secret.txt",
        "/static/link_out", "/static/link_absolute", "/static//etc/passwd", "/static/.hidden",
        "/static/sub/../.hidden", "/static/nothing", "/static/fifo", "/static/a.css/",
        "/static/a.css/b", "/static/"}) {
    EXPECT_THAT(Get(path), AllOf(StartsWith("HTTP/1.1 404 "), Not(HasSubstr("secret\r\n")),
                                 Not(HasSubstr("root:"))))
        << path;
  }
  EXPECT_THAT(Get("/static/..%2fsecret.txt"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Get("/static/a.css%00.html"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(StaticFilesTest, ServesTheIndexAndRedirectsToTheSlash) {
  EXPECT_THAT(Get("/static/sub/"), AllOf(HasSubstr("text/html"), EndsWith("<p>index")));
  EXPECT_THAT(Get("/static/sub?x=1"),
              AllOf(StartsWith("HTTP/1.1 301 "), HasSubstr("Location: /static/sub/?x=1\r\n")));
}

TEST_F(StaticFilesTest, AnswersConditions) {
  EXPECT_THAT(Get("/static/a.css", "If-None-Match: " + Etag() + "\r\n"),
              AllOf(StartsWith("HTTP/1.1 304 "), HasSubstr("ETag: "),
                    Not(HasSubstr("Content-Length")), EndsWith("\r\n\r\n")));
  EXPECT_THAT(Get("/static/a.css", "If-None-Match: \"other\"\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/static/a.css", "If-Modified-Since: " + std::string(kModified) + "\r\n"),
              StartsWith("HTTP/1.1 304 "));
  EXPECT_THAT(Get("/static/a.css", "If-Match: \"other\"\r\n"), StartsWith("HTTP/1.1 412 "));
}

size_t DescriptorCount() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// One connection that asked for files without reading them had one descriptor open for each: four
// thousand requests, and nobody else could connect.
TEST_F(StaticFilesTest, OneConnectionHoldsFewDescriptorsHoweverManyFilesItAsksFor) {
  Client client = server.Connect();
  constexpr int kRequests = 300;
  std::string requests;
  for (int i = 0; i < kRequests; ++i) {
    requests += "GET /static/large.bin HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  const size_t before = DescriptorCount();
  client.Send(requests);
  while (server.counters->send_stuck.Get() == 0) std::this_thread::yield();
  EXPECT_LE(DescriptorCount(), before + 20);
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_THAT(client.ReadResponse(), EndsWith(large_)) << i;
  }
}

TEST_F(StaticFilesTest, ServesOneRange) {
  EXPECT_THAT(Get("/static/a.css", "Range: bytes=2-4\r\n"),
              AllOf(StartsWith("HTTP/1.1 206 "), HasSubstr("Content-Range: bytes 2-4/10\r\n"),
                    EndsWith("\r\n\r\n234")));
  EXPECT_THAT(Get("/static/a.css", "Range: bytes=10-\r\n"),
              AllOf(StartsWith("HTTP/1.1 416 "), HasSubstr("Content-Range: bytes */10\r\n")));
  EXPECT_THAT(Get("/static/a.css", "Range: bytes=0-1,3-4\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/static/a.css", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n"),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/static/a.css", "Range: bytes=0-1\r\nIf-Range: " + Etag() + "\r\n"),
              StartsWith("HTTP/1.1 206 "));
  EXPECT_THAT(Get("/static/large.bin", "Range: bytes=100-200099\r\n"),
              EndsWith("\r\n\r\n" + large_.substr(100, 200'000)));
}

}  // namespace
}  // namespace ringmaster::http
