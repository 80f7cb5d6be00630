#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/sorted_top_k.hpp"

using namespace fastcbir;

TEST_CASE("the k nearest of a stream, in order, those of smaller nodes where values are equal") {
  for (const std::size_t k : {0, 1, 2, 7, 8, 9, 10, 100, 128, 129, 500, 513, 1500}) {
    for (const std::size_t count : {0, 1, 5, 40, 700, 2000}) {
      CAPTURE(k);
      CAPTURE(count);
      SortedTopK nearest;
      for (const std::uint64_t distinct : {5, 1'000'000}) {  // many equal values, or hardly any
        nearest.reset(k);
        std::vector<Key> all;
        for (std::size_t i = 0; i < count; ++i) {
          const float value = static_cast<float>(mix64(i * 31 + k) % distinct) - 3;
          all.push_back(key_of(value, static_cast<NodeId>((i * 7919) % count)));
        }
        std::vector<Key> pushed = all;  // in stretches of any length; some one by one
        for (std::size_t begin = 0; begin < count;) {
          const std::size_t some = std::min<std::size_t>(1 + mix64(begin) % 90, count - begin);
          if (some == 1) {
            nearest.push(value_of(pushed[begin]), node_of(pushed[begin]));
          } else {
            nearest.push(pushed.data() + begin, some);
          }
          begin += some;
        }
        std::sort(all.begin(), all.end());
        const std::size_t kept = std::min(k, count);
        const auto found = nearest.sorted();
        REQUIRE(found.size() == kept);
        for (std::size_t i = 0; i < kept; ++i) {
          REQUIRE(found[i].node == node_of(all[i]));
          REQUIRE(found[i].distance == value_of(all[i]));
        }
        if (count >= k && k > 0) CHECK(nearest.bound() == found.back().distance);
        if (count < k) CHECK(nearest.bound() == infinity);
      }
    }
  }
}

TEST_CASE("the least keys come to the front, whatever their order") {
  std::vector<Key> spare;
  for (const std::size_t size : {1, 2, 24, 25, 60, 316, 1000}) {
    for (const int kind : {0, 1, 2, 3}) {
      std::vector<Key> keys;
      for (std::size_t i = 0; i < size; ++i) {
        const std::uint64_t random[] = {mix64(i), i, size - i, mix64(i) % 3};
        keys.push_back(random[kind]);
      }
      std::vector<Key> sorted = keys;
      std::sort(sorted.begin(), sorted.end());
      for (std::size_t count = 1; count <= size; count += 1 + size / 17) {
        std::vector<Key> some = keys;
        CHECK(select_least(some, count, spare) == sorted[count - 1]);
        std::sort(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
        CHECK(std::equal(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count), sorted.begin()));
        std::sort(some.begin(), some.end());
        CHECK(some == sorted);
      }
    }
  }
}
