#include "protocols/web/service/admin_guard.h"

#include <gtest/gtest.h>

namespace ringmaster::web {
namespace {

TEST(AdminGuard, ReadsTheTokenOfTheSchemeBearerInAnyCase) {
  EXPECT_EQ(BearerToken("Bearer 0123456789abcdef"), "0123456789abcdef");
  EXPECT_EQ(BearerToken("bearer x"), "x");
  EXPECT_EQ(BearerToken("BEARER   x"), "x");
  EXPECT_EQ(BearerToken("Bearer a b"), "a b");
}

TEST(AdminGuard, FindsNoTokenElsewhere) {
  for (const std::string_view field : {"", "Bearer", "Bearer ", "Bearer   ", "Bearerx", "Bearer\tx",
                                       "Basic 0123456789abcdef", "0123456789abcdef", "Beare x"}) {
    EXPECT_EQ(BearerToken(field), "") << field;
  }
}

TEST(AdminGuard, LocalNamesAndAddressesAreHostsOfALoopbackListener) {
  for (const std::string_view host :
       {"", "localhost", "localhost:9000", "LOCALHOST:1", "localhost.", "ringmaster.localhost:9000",
        "127.0.0.1", "127.0.0.1:9000", "10.1.2.3:80", "[::1]", "[::1]:9000"}) {
    EXPECT_TRUE(IsLocalOrLiteralHost(host)) << host;
  }
}

TEST(AdminGuard, OtherNamesAreNot) {
  for (const std::string_view host :
       {"rebound.example", "rebound.example:9000", "notlocalhost", "localhost.example",
        "127.0.0.1.example", "127.0.0.1.nip.io:9000", "0x7f000001", "1", ".", ":9000"}) {
    EXPECT_FALSE(IsLocalOrLiteralHost(host)) << host;
  }
}

}  // namespace
}  // namespace ringmaster::web
