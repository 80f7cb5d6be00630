// Chooses the kernel table for this process. Floor 1.
#pragma once

#include <string>
#include <vector>

#include "fastcbir/kernels/table.hpp"

namespace fastcbir::kernels {

// The table in use: the best that CPU and operating system allow, or the one FASTCBIR_ISA names. Resolved once, on the
// first call; throws std::invalid_argument, listing the names, if FASTCBIR_ISA names none that can run here.
const KernelTable& active();

// Tables compiled in that can run here, best first; scalar is always the last.
std::vector<const KernelTable*> available();

// The table of that name; throws std::invalid_argument listing the available names.
const KernelTable& by_name(const std::string& name);

}  // namespace fastcbir::kernels
