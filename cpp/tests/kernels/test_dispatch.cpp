// Which tables are offered, which is in use, and what is said about the others.
#include <algorithm>

#include "doctest/doctest.h"
#include "fastcbir/kernels/cpu.hpp"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

bool offered(const std::string& name) {
  const auto tables = kernels::available();
  return std::any_of(tables.begin(), tables.end(), [&](const KernelTable* table) { return table->name == name; });
}

template <class Function>
std::string refusal(Function function) {
  try {
    function();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("scalar is always offered, last; the best first; all under names of their own") {
  const auto tables = kernels::available();
  REQUIRE(!tables.empty());
  CHECK(std::string(tables.back()->name) == "scalar");
  for (const KernelTable* table : tables) {
    CHECK(&kernels::by_name(table->name) == table);
    for (const auto& metrics : table->distance) {
      for (const DistanceKernels& kernel : metrics) {
        CHECK((kernel.one && kernel.gather4 && kernel.gather8 && kernel.block && kernel.tile));
      }
    }
    CHECK((table->f32_to_f16 && table->f16_to_f32));
  }
  const kernels::CpuSupport support = kernels::cpu_support();
  CHECK(offered("avx2") == support.avx2);
  CHECK(offered("avx512") == support.avx512);
  CHECK(offered("avx512vnni") == support.avx512vnni);
  CHECK(offered("avx512vbmi") == support.avx512vbmi);
  CHECK(offered("neon") == support.neon);
}

TEST_CASE("an unknown name is refused with the names that can be had") {
  const std::string said = refusal([] { kernels::by_name("abacus"); });
  CHECK(contains(said, "'abacus'"));
  for (const KernelTable* table : kernels::available()) CHECK(contains(said, table->name));
}

TEST_CASE("FASTCBIR_ISA decides, and what it cannot have is refused in words that say why") {
  const char* forced = std::getenv("FASTCBIR_ISA");
  if (forced == nullptr) {
    CHECK(&kernels::active() == kernels::available().front());
  } else if (offered(forced)) {
    CHECK(std::string(kernels::active().name) == forced);
  } else {
    const std::string said = refusal([] { kernels::active(); });
    CHECK(contains(said, "FASTCBIR_ISA is '" + std::string(forced) + "'"));
    CHECK((contains(said, "this build has no such instruction set") || contains(said, "does not support it")));
    CHECK(contains(said, "scalar"));
  }
}

}  // namespace fastcbir::test
