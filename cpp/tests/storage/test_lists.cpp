#include <doctest/doctest.h>

#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/storage/lists.hpp"

using namespace fastcbir;

TEST_CASE("lists that grow by turns keep their nodes, their codes and few holes") {
  constexpr std::size_t lists = 7;
  constexpr std::size_t code_bytes = 64;
  InvertedLists inverted(lists, code_bytes);
  std::vector<std::vector<NodeId>> expected(lists);
  NodeId next = 0;
  for (std::size_t round = 0; round < 60; ++round) {
    std::vector<std::uint32_t> more(lists);
    more[round % lists] = static_cast<std::uint32_t>(mix64(round) % 150);
    more[round * 3 % lists] += 1;
    inverted.make_room(more);
    for (std::size_t list = 0; list < lists; ++list) {
      for (std::uint32_t i = 0; i < more[list]; ++i) {
        expected[list].push_back(next);
        inverted.append(list, next++);
        const std::size_t at = inverted.size(list) - 1;
        inverted.block(list, at / 32)[at % 32] = static_cast<std::byte>(next % 251);
      }
    }
    for (std::size_t list = 0; list < lists; ++list) {
      REQUIRE(inverted.size(list) == expected[list].size());
      for (std::size_t at = 0; at < expected[list].size(); ++at) {
        REQUIRE(inverted.node(list, at) == expected[list][at]);
        REQUIRE(inverted.block(list, at / 32)[at % 32] == static_cast<std::byte>((expected[list][at] + 1) % 251));
      }
    }
    CHECK_NOTHROW(inverted.check(next));
  }
  // At most half again as many as needed are kept for growth, and a third of all are holes.
  CHECK(inverted.blocks().size() < 2.4 * static_cast<double>((next / 32 + lists) * inverted.stride_bytes()));

  const auto contents = [&] {
    std::vector<std::byte> bytes;
    for (std::size_t list = 0; list < lists; ++list) {
      for (std::size_t at = 0; at < inverted.size(list); ++at) {
        bytes.push_back(inverted.block(list, at / 32)[at % 32]);
        bytes.push_back(static_cast<std::byte>(inverted.node(list, at) % 256));
      }
    }
    return bytes;
  };
  const auto before = contents();
  inverted.tighten();
  std::size_t needed = 0;
  for (std::size_t list = 0; list < lists; ++list) needed += inverted.block_count(list);
  CHECK(inverted.blocks().size() == needed * inverted.stride_bytes());
  CHECK(contents() == before);
  CHECK_NOTHROW(inverted.check(next));
  inverted.make_room(std::vector<std::uint32_t>(lists, 1));
  CHECK(contents() == before);

  inverted.truncate(100);
  CHECK_NOTHROW(inverted.check(100));
  inverted.rename([](NodeId node) { return 99 - node; });
  CHECK_NOTHROW(inverted.check(100));
  inverted.rename([](NodeId) { return NodeId{5}; });
  CHECK_THROWS_WITH(inverted.check(100), doctest::Contains("in another place too"));
}

TEST_CASE("lists that do not lie where they say are found out") {
  const auto checked = [](std::vector<ListExtent> extents, std::size_t blocks, std::size_t count) {
    AlignedBuffer bytes;
    bytes.resize(blocks * 128);
    InvertedLists(extents, 0, std::move(bytes)).check(count);
  };
  CHECK_NOTHROW(checked({{0, 1, 1}, {1, 0, 2}}, 3, 1));
  CHECK_THROWS_WITH(checked({{0, 1, 1}, {3, 0, 1}}, 3, 1), doctest::Contains("outside"));
  CHECK_THROWS_WITH(checked({{0, 33, 1}}, 3, 33), doctest::Contains("outside"));
  CHECK_THROWS_WITH(checked({{0, 1, 2}, {1, 0, 1}}, 3, 1), doctest::Contains("share a block"));
  CHECK_THROWS_WITH(checked({{0, 1, 1}}, 3, 0), doctest::Contains("does not exist"));
  CHECK_THROWS_WITH(checked({{0, 1, 1}}, 3, 2), doctest::Contains("hold 1 nodes of 2"));
}
