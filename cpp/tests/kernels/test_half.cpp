// Conversions to and from half precision: all halves, and every float near a boundary between two of them.
#include "doctest/doctest.h"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

// Round to nearest even by search: of the two halves around the value the nearer one, of two as near the even one.
// Beyond the largest half counts what the next one would be if there were one (65,536).
std::uint16_t nearest_half(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::abs(static_cast<double>(value));
  if (magnitude >= 65'536.0) return sign | 0x7c00;
  std::uint16_t below = 0, above = 0x7c00;  // halves of one sign are ordered as their bits are
  while (above - below > 1) {
    const auto middle = static_cast<std::uint16_t>((below + above) / 2);
    (value_of_half(middle) <= magnitude ? below : above) = middle;
  }
  const double down = magnitude - value_of_half(below);
  const double up = (above == 0x7c00 ? 65'536.0 : value_of_half(above)) - magnitude;
  const bool take_above = up < down || (up == down && (above & 1) == 0);
  return sign | (take_above ? above : below);
}

std::vector<std::uint16_t> narrowed(const KernelTable& table, const std::vector<float>& from) {
  std::vector<std::uint16_t> to(from.size());
  table.f32_to_f16(from.data(), to.data(), from.size());
  return to;
}

}  // namespace

TEST_CASE("every half becomes the float of the same value and comes back") {
  std::vector<std::uint16_t> halves(65'536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    std::vector<float> floats(halves.size());
    table->f16_to_f32(halves.data(), floats.data(), halves.size());
    const std::vector<std::uint16_t> back = narrowed(*table, floats);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const double wanted = value_of_half(halves[i]);
      if (std::isnan(wanted)) {
        // Still NaN, made quiet, with sign and payload kept.
        wrong += !std::isnan(floats[i]) || back[i] != (halves[i] | 0x0200);
      } else {
        wrong += floats[i] != wanted || std::signbit(floats[i]) != std::signbit(wanted) || back[i] != halves[i];
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("floats round to the nearest half, ties to the even one") {
  std::vector<float> floats;
  const auto add_around = [&](double value) {
    const auto middle = static_cast<float>(value);
    for (float one : {std::nextafter(middle, -infinity), middle, std::nextafter(middle, infinity)}) {
      floats.push_back(one);
      floats.push_back(-one);
    }
  };
  for (unsigned half = 0; half < 0x7c00; ++half) {
    const double here = value_of_half(static_cast<std::uint16_t>(half));
    const double next = half == 0x7bff ? 65'536.0 : value_of_half(static_cast<std::uint16_t>(half + 1));
    add_around(here);
    add_around((here + next) / 2);
  }
  for (double value : {1e-45, 1e-38, 1e-10, 65'504.0, 65'519.0, 65'520.0, 65'536.0, 1e6, 3e38}) add_around(value);
  std::mt19937 random(3);
  while (floats.size() % 16 != 7) floats.push_back(static_cast<float>(random()));  // a ragged end
  std::vector<std::uint16_t> wanted(floats.size());
  for (std::size_t i = 0; i < floats.size(); ++i) wanted[i] = nearest_half(floats[i]);
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    const std::vector<std::uint16_t> actual = narrowed(*table, floats);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < floats.size(); ++i) wrong += actual[i] != wanted[i];
    CHECK(wrong == 0);
    CHECK(narrowed(*table, {infinity, -infinity}) == std::vector<std::uint16_t>{0x7c00, 0xfc00});
    for (std::uint16_t nan : narrowed(*table, {std::nanf(""), -std::nanf("")})) CHECK((nan & 0x7fff) > 0x7c00);
  }
}

}  // namespace fastcbir::test
