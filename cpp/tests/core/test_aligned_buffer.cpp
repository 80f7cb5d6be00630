#include <doctest/doctest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"

using fastcbir::AlignedBuffer;

TEST_CASE("content survives growth and shrinking, and new bytes are zero") {
  // Sizes on both sides of the step from cache lines to page mappings, and within each.
  const std::size_t sizes[] = {10,         1000,     64,       3u << 20, 5u << 20, 9u << 20,
                               100u << 20, 4u << 20, 6u << 20, 100,      200,      3u << 20};
  AlignedBuffer buffer;
  std::vector<unsigned char> expected;
  unsigned seed = 1;
  for (const std::size_t size : sizes) {
    buffer.resize(size);
    expected.resize(size, 0);
    REQUIRE(buffer.size() == size);
    REQUIRE(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    REQUIRE(std::memcmp(buffer.data(), expected.data(), size) == 0);
    for (std::size_t i = 0; i < size; i += 97) {
      seed = seed * 1664525 + 1013904223;
      expected[i] = static_cast<unsigned char>(seed >> 24);
      buffer.data()[i] = static_cast<std::byte>(expected[i]);
    }
    if (size % 64 == 0) buffer.shrink_to_fit();
  }
}

TEST_CASE("moving takes the bytes along") {
  AlignedBuffer first;
  first.resize(100);
  first.data()[99] = std::byte{7};
  const std::byte* at = first.data();
  AlignedBuffer second = std::move(first);
  CHECK(second.data() == at);
  CHECK(first.size() == 0);
  AlignedBuffer third;
  third.resize(5);
  third = std::move(second);
  CHECK(third.data()[99] == std::byte{7});
}

TEST_CASE("a borrowed buffer keeps its owner") {
  auto owner = std::make_shared<std::vector<std::byte>>(10, std::byte{3});
  const std::weak_ptr<std::vector<std::byte>> watch = owner;
  {
    const AlignedBuffer view = AlignedBuffer::borrow(*owner, owner);
    owner.reset();
    CHECK(view.borrowed());
    CHECK(view.data()[9] == std::byte{3});
    CHECK(!watch.expired());
  }
  CHECK(watch.expired());
}
