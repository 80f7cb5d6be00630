#include <doctest/doctest.h>

#include <string>

#include "fastcbir/io/checksum.hpp"

using fastcbir::io::xxh64;

TEST_CASE("xxh64 gives the values of the reference implementation") {
  CHECK(xxh64("", 0) == 0xEF46DB3751D8E999u);
  CHECK(xxh64("a", 1) == 0xD24EC4F1A98C6E5Bu);
  CHECK(xxh64("abc", 3) == 0x44BC2CF5AD770999u);
  const std::string text = "Nobody inspects the spammish repetition";
  CHECK(xxh64(text.data(), text.size()) == 0xFBCEA83C8A378BF1u);
}
