#pragma once

#include "protocols/http/codec/request_head.h"

namespace ringmaster::http {

// Splits head.target by the four forms of RFC 9112 section 3.2 into path, query and, for
// absolute-form, host. `query_offset` is the index behind the first '?', or 0 when there is none.
// The characters are validated already. False: the form is none of the four, or does not belong to
// head.method.
bool SplitRequestTarget(size_t query_offset, RequestHead& head);

}  // namespace ringmaster::http
