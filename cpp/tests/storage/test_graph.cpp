#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

#include "fastcbir/storage/graph.hpp"

using namespace fastcbir;

TEST_CASE("links are kept level by level, and truncation forgets whole nodes") {
  GraphLinks links(5, 3, 0);
  links.append(std::vector<std::uint8_t>{0, 2, 1});
  links.append(std::vector<std::uint8_t>{0, 3});
  links.set(1, 0, std::vector<NodeId>{0, 2, 3});
  links.set(1, 2, std::vector<NodeId>{4});
  links.set(4, 3, {});
  links.set(4, 1, std::vector<NodeId>{1, 2});
  CHECK_NOTHROW(links.check());
  CHECK(links.level_of(4) == 3);
  CHECK(links.block(1, 0)[2] == 3);
  CHECK(links.block(1, 0)[3] == no_node);
  CHECK(links.block(1, 2)[0] == 4);
  CHECK(links.block(1, 1)[0] == no_node);
  CHECK(links.block(4, 1)[1] == 2);

  links.set(1, 2, std::vector<NodeId>{2});  // node 2 has no level 2
  CHECK_THROWS_AS(links.check(), std::runtime_error);
  links.set(1, 2, {});
  links.set(0, 0, std::vector<NodeId>{9});  // there is no node 9
  CHECK_THROWS_AS(links.check(), std::runtime_error);
  links.set(0, 0, {});
  links.set(4, 1, {});
  links.truncate(3);
  links.set(1, 0, std::vector<NodeId>{0});
  CHECK(links.size() == 3);
  CHECK_NOTHROW(links.check());
  links.append(std::vector<std::uint8_t>{1});
  CHECK(links.block(3, 0)[0] == no_node);
  CHECK(links.block(3, 1)[0] == no_node);
}
