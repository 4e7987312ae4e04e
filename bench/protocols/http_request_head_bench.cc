// Parsing of whole request heads: the smallest one, sixteen of them behind each other (what a
// pipelined read holds), and what a browser sends.

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "protocols/http/codec/request_head_parser.h"

namespace ringmaster::http {
namespace {

constexpr std::string_view kMinimal = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view kBrowser =
    "GET /app/main.css?v=20240101 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/124.0.0.0 Safari/537.36\r\n"
    "Accept: text/css,*/*;q=0.1\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "Referer: https://www.example.com/app/\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    "\r\n";

void ParseAll(benchmark::State& state, const std::string& bytes) {
  RequestHead head;
  RequestHeadParser parser;
  const HeadLimits limits;
  int64_t heads = 0;
  for (auto _ : state) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
      if (parser.Parse(rest, limits, head) != HeadResult::kDone) {
        state.SkipWithError("not a request");
        return;
      }
      benchmark::DoNotOptimize(head);
      rest.remove_prefix(head.head_bytes);
      heads++;
    }
  }
  state.SetItemsProcessed(heads);
}

void BM_Minimal(benchmark::State& state) { ParseAll(state, std::string(kMinimal)); }
BENCHMARK(BM_Minimal);

void BM_SixteenMinimal(benchmark::State& state) {
  std::string bytes;
  for (int i = 0; i < 16; i++) bytes += kMinimal;
  ParseAll(state, bytes);
}
BENCHMARK(BM_SixteenMinimal);

void BM_Browser(benchmark::State& state) { ParseAll(state, std::string(kBrowser)); }
BENCHMARK(BM_Browser);

}  // namespace
}  // namespace ringmaster::http

BENCHMARK_MAIN();
