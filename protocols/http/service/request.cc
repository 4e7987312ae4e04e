#include "protocols/http/service/request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "protocols/http/codec/chunked_decoder.h"
#include "protocols/http/codec/cookie.h"
#include "protocols/http/codec/uri.h"
#include "protocols/http/service/service.h"

namespace ringmaster::http {

std::optional<std::string> Request::query(std::string_view name) const {
  return FindQueryParameter(head_->query, name);
}

std::string_view Request::param(std::string_view name) const {
  for (int i = 0; i < parameters_->count; i++) {
    const PathParameters::Parameter& parameter = parameters_->values[static_cast<size_t>(i)];
    if (parameter.name == name) return parameter.value;
  }
  return {};
}

std::optional<std::string_view> Request::cookie(std::string_view name) const {
  for (uint32_t i = head_->FindIndex("cookie"); i < head_->field_count;
       i = head_->FindIndex("cookie", i + 1)) {
    if (auto value = FindCookie(head_->fields[i].value, name)) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> Request::trailer(std::string_view name) const {
  if (decoder_ == nullptr) return std::nullopt;
  const std::string_view value = decoder_->FindTrailer(name);
  if (value.data() == nullptr) return std::nullopt;
  return value;
}

absl::StatusOr<simdjson::dom::element> Request::Json() const {
  simdjson::dom::element element;
  const simdjson::error_code error =
      service_->json_parser()
          .parse(body_.data(), body_.size(), /*realloc_if_needed=*/true)
          .get(element);
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(fmt::format("not JSON: {}", simdjson::error_message(error)));
  }
  return element;
}

}  // namespace ringmaster::http
