// Lists the compiled-in tables, best first, and answers which of them may run. See dispatch.hpp.
#include "fastcbir/kernels/dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#include "fastcbir/kernels/cpu.hpp"
#include "fastcbir/kernels/tables.hpp"

namespace fastcbir::kernels {
namespace {

struct Candidate {
  const KernelTable* table;
  bool runs_here;
};

std::vector<Candidate> candidates() {
  [[maybe_unused]] const CpuSupport support = cpu_support();
  return {
#if defined(FASTCBIR_X86_ISLANDS)
    {&avx512vbmi_table, support.avx512vbmi}, {&avx512vnni_table, support.avx512vnni}, {&avx512_table, support.avx512},
        {&avx2_table, support.avx2},
#endif
#if defined(FASTCBIR_NEON_ISLAND)
        {&neon_table, support.neon},
#endif
        {&scalar_table, true},
  };
}

// `source` begins the message and says where the name came from.
const KernelTable& find(const std::string& name, const std::string& source) {
  std::string names;
  bool compiled_in = false;
  for (const Candidate& candidate : candidates()) {
    const bool match = name == candidate.table->name;
    if (match && candidate.runs_here) return *candidate.table;
    compiled_in = compiled_in || match;
    if (candidate.runs_here) names += (names.empty() ? "" : ", ") + std::string(candidate.table->name);
  }
  const std::string reason = compiled_in
                                 ? "this build has it, but this processor or operating system does not support it"
                                 : "this build has no such instruction set";
  throw std::invalid_argument(source + " is '" + name + "': " + reason + "; it can be one of: " + names);
}

const KernelTable& resolve() {
  const char* forced = std::getenv("FASTCBIR_ISA");
  if (forced != nullptr && *forced != '\0') return find(forced, "FASTCBIR_ISA");
  return *available().front();
}

}  // namespace

std::vector<const KernelTable*> available() {
  std::vector<const KernelTable*> tables;
  for (const Candidate& candidate : candidates()) {
    if (candidate.runs_here) tables.push_back(candidate.table);
  }
  return tables;
}

const KernelTable& by_name(const std::string& name) { return find(name, "the instruction set"); }

const KernelTable& active() {
  static const KernelTable& table = resolve();
  return table;
}

}  // namespace fastcbir::kernels
