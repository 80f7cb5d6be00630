// Nanoseconds per distance for every instruction set, type, metric, shape and dimension, beside two limits measured in
// the same run and interleaved with it: loading the same rows from the second-level cache, and doing the same
// arithmetic with all operands at hand. The roofline is the larger of the two.
//
//   fastcbir_kernel_bench [--isa LIST] [--dims LIST] [--types LIST] [--metrics LIST] [--shapes LIST]
//                         [--seconds S] [--kib N] [--json FILE]        lists are separated by commas
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "fastcbir/kernels/dispatch.hpp"
#include "limits.hpp"
#include "report.hpp"

namespace fastcbir::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Names = std::vector<std::string>;

struct Options {
  Names isas, types{"float32", "float16", "uint8", "int8"}, metrics{"l2", "ip", "cosine"}, shapes{"block", "gather8"};
  std::vector<std::size_t> dims{96, 128, 512, 1280};
  double seconds = 60;
  std::size_t resident_kib = 1024;  // the rows of one measurement; a second-level cache must hold them with ease
  std::string json;
};

Names split(const std::string& list) {
  Names names;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    names.push_back(list.substr(from, comma - from));
    from = comma + 1;
  }
  return names;
}

Options parse(int argc, char** argv) {
  Options options;
  for (const auto* table : kernels::available()) options.isas.push_back(table->name);
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(name + " needs a value, or is no option");
    const std::string value = argv[i + 1];
    if (name == "--isa") {
      options.isas = split(value);
    } else if (name == "--types") {
      options.types = split(value);
    } else if (name == "--metrics") {
      options.metrics = split(value);
    } else if (name == "--shapes") {
      options.shapes = split(value);
    } else if (name == "--dims") {
      options.dims.clear();
      for (const std::string& dim : split(value)) options.dims.push_back(std::stoul(dim));
    } else if (name == "--seconds") {
      options.seconds = std::stod(value);
    } else if (name == "--kib") {
      options.resident_kib = std::stoul(value);
    } else if (name == "--json") {
      options.json = value;
    } else {
      throw std::invalid_argument(
          name + " is no option; there are --isa --dims --types --metrics --shapes --seconds --kib --json");
    }
  }
  return options;
}

const LimitTable& limits_of(const std::string& isa) {
#if defined(FASTCBIR_X86_ISLANDS)
  if (isa == "avx2") return avx2_limits;
  if (isa == "avx512") return avx512_limits;
  if (isa == "avx512vnni" || isa == "avx512vbmi") return avx512vnni_limits;
#endif
#if defined(FASTCBIR_NEON_ISLAND)
  if (isa == "neon") return neon_limits;
#endif
  return scalar_limits;
}

template <class Enum>
Enum parse_enum(const std::string& name, std::size_t count) {
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<Enum>(i);
    if (name == name_of(value)) return value;
    names += std::string(" ") + name_of(value);
  }
  throw std::invalid_argument("'" + name + "' is none of:" + names);
}

// Repeats `work`, which does `units` of something, and keeps the time of each sample.
class Probe {
 public:
  Probe(std::function<void()> work, double units) : work_(std::move(work)), units_(units) {}

  // Called once before sampling: how often to repeat the work so that the clock's own price does not matter.
  void calibrate(double sample_seconds) {
    work_();
    const double once = std::min({time(1), time(1), time(1)});
    repeats_ = std::max<std::size_t>(1, static_cast<std::size_t>(sample_seconds / std::max(once, 1e-9)));
  }
  void sample() { samples_.push_back(time(repeats_) / static_cast<double>(repeats_)); }

  Times times() const {
    std::vector<double> sorted = samples_;
    std::sort(sorted.begin(), sorted.end());
    return {1e9 * sorted.front() / units_, 1e9 * sorted[sorted.size() / 2] / units_};
  }
  std::size_t count() const { return samples_.size(); }

 private:
  double time(std::size_t repeats) const {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < repeats; ++i) work_();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  std::function<void()> work_;
  double units_;
  std::size_t repeats_ = 1;
  std::vector<double> samples_;
};

constexpr std::size_t huge_page = std::size_t{2} << 20;

struct Freed {
  void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t(huge_page)); }
};
using Memory = std::unique_ptr<std::byte, Freed>;

// Zeroed, on huge pages where the system has them: as the index keeps its rows.
Memory allocate(std::size_t bytes) {
  const std::size_t whole = round_up(bytes, huge_page);
  Memory memory(static_cast<std::byte*>(::operator new(whole, std::align_val_t(huge_page))));
#if defined(__linux__)
  madvise(memory.get(), whole, MADV_HUGEPAGE);
#endif
  std::memset(memory.get(), 0, whole);
  return memory;
}

constexpr std::size_t tile_queries = 12;  // one and the same, but no kernel can know

// Rows that fill the wanted part of the cache, a query, and the rows' addresses in storage order and shuffled.
struct Workload {
  Workload(ScalarType type, std::size_t dimension, std::size_t resident_bytes) : dim(dimension) {
    row_bytes = round_up(dim * bytes_of(type), row_alignment);
    count = std::max<std::size_t>(16, resident_bytes / row_bytes) / 8 * 8;
    bytes = allocate(count * row_bytes);
    query = allocate(4 * round_up(dim, 64));
    std::mt19937 random(1);
    for (std::size_t r = 0; r < count; ++r) fill(type, random, bytes.get() + r * row_bytes);
    fill(type == ScalarType::f16 ? ScalarType::f32 : type, random, query.get());
    out.resize(count);
    panel = std::max<std::size_t>(8, 16384 / row_bytes / 8 * 8);
    tile_out.resize(tile_queries * panel);
    for (std::size_t r = 0; r < count; ++r) in_order.push_back(bytes.get() + r * row_bytes);
    shuffled = in_order;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
  }

  void fill(ScalarType type, std::mt19937& random, std::byte* to) const {
    for (std::size_t i = 0; i < dim; ++i) {
      const float number = static_cast<float>(random() % 1024) / 1024;
      const std::uint16_t half = static_cast<std::uint16_t>(random() % 0x3c00);
      const auto byte = static_cast<std::uint8_t>(random());
      if (type == ScalarType::f32) std::memcpy(to + i * 4, &number, 4);
      if (type == ScalarType::f16) std::memcpy(to + i * 2, &half, 2);
      if (type == ScalarType::u8 || type == ScalarType::i8) std::memcpy(to + i, &byte, 1);
    }
  }

  std::size_t dim, row_bytes = 0, count = 0;
  std::size_t panel;  // rows of a tile: they stay in the first-level cache for all its queries
  Memory bytes, query;
  std::vector<const void*> in_order, shuffled;
  std::vector<float> out, tile_out;
};

// One kernel with the probes of its limits, so that all are sampled in turn.
struct Case {
  KernelResult result;
  std::vector<Probe> probes;  // distance, arithmetic, then the ways to load
};

Probe distance_probe(const kernels::DistanceKernels& kernel, const std::string& shape, Workload& work) {
  const auto count = static_cast<double>(work.count);
  const auto each = [&work](std::size_t step, auto&& call) {
    for (std::size_t r = 0; r < work.count; r += step) call(&work.shuffled[r], &work.out[r]);
  };
  if (shape == "block") {
    return {[&work, kernel] {
              kernel.block(work.query.get(), work.bytes.get(), work.row_bytes, work.count, work.dim, work.out.data());
            },
            count};
  }
  if (shape == "gather8") {
    return {[&work, kernel, each] {
              each(8, [&](auto rows, auto out) { kernel.gather8(work.query.get(), rows, work.dim, out); });
            },
            count};
  }
  if (shape == "gather4") {
    return {[&work, kernel, each] {
              each(4, [&](auto rows, auto out) { kernel.gather4(work.query.get(), rows, work.dim, out); });
            },
            count};
  }
  if (shape == "one") {
    return {[&work, kernel, each] {
              each(1, [&](auto rows, auto out) { *out = kernel.one(work.query.get(), *rows, work.dim); });
            },
            count};
  }
  if (shape == "tile") {
    return {[&work, kernel] {
              for (std::size_t r = 0; r + work.panel <= work.count; r += work.panel) {
                kernel.tile(work.query.get(), 0, tile_queries, work.in_order[r], work.row_bytes, work.panel, work.dim,
                            work.tile_out.data(), work.panel);
              }
            },
            static_cast<double>(tile_queries * (work.count / work.panel * work.panel))};
  }
  throw std::invalid_argument("'" + shape + "' is none of: block gather8 gather4 one tile");
}

Case make_case(const std::string& isa, ScalarType type, Metric metric, const std::string& shape, Workload& work) {
  const LimitTable& limits = limits_of(isa);
  const auto count = static_cast<double>(work.count);
  const auto t = static_cast<std::size_t>(type), m = static_cast<std::size_t>(metric);
  Case made;
  made.result = {isa, name_of(type), name_of(metric), shape, work.dim, work.row_bytes, {}, {}, {}};
  made.probes.push_back(distance_probe(kernels::distance_kernels(kernels::by_name(isa), type, metric), shape, work));
  const double row_blocks = static_cast<double>(work.row_bytes) / row_alignment;
  const double steps_per_row = row_blocks / static_cast<double>(limits.arithmetic_blocks[t][m]);
  constexpr std::size_t steps = 2000;
  made.probes.emplace_back([run = limits.arithmetic[t][m]] { run(steps); }, steps / steps_per_row);
  // The best of all ways is the limit, for every shape: a shape's own order of rows is no excuse.
  for (const auto* rows : {&work.in_order, &work.shuffled}) {
    for (const auto load : limits.load) {
      made.probes.emplace_back([rows, load, &work] { load(rows->data(), work.count, work.row_bytes); }, count);
    }
  }
  return made;
}

void finish(Case& done) {
  done.result.distance = done.probes[0].times();
  done.result.arithmetic = done.probes[1].times();
  done.result.load = done.probes[2].times();
  for (std::size_t i = 3; i < done.probes.size(); ++i) {
    const Times other = done.probes[i].times();
    done.result.load.best = std::min(done.result.load.best, other.best);
    done.result.load.median = std::min(done.result.load.median, other.median);
  }
}

int run(const Options& options) {
  std::vector<IsaResult> isas;
  std::vector<KernelResult> results;
  const std::size_t cases =
      options.isas.size() * options.types.size() * options.metrics.size() * options.dims.size() * options.shapes.size();
  constexpr std::size_t probes_per_case = 8;
  constexpr double sample_seconds = 0.0001;  // short: on a busy machine some samples then meet a quiet moment
  const double seconds_per_case = options.seconds / static_cast<double>(std::max<std::size_t>(1, cases));
  const auto samples =
      std::max<std::size_t>(3, static_cast<std::size_t>(seconds_per_case / (sample_seconds * probes_per_case)));
  for (const std::string& isa : options.isas) {
    kernels::by_name(isa);  // refuses what cannot run here
    const LimitTable& limits = limits_of(isa);
    Probe fused([&limits] { limits.fused(2000); }, 2000.0 * static_cast<double>(limits.fused_lanes));
    fused.calibrate(sample_seconds);
    for (std::size_t i = 0; i < 20; ++i) fused.sample();
    isas.push_back({isa, 1.0 / fused.times().best});
    for (const std::string& type_name : options.types) {
      const auto type = parse_enum<ScalarType>(type_name, scalar_type_count);
      for (const std::size_t dim : options.dims) {
        Workload work(type, dim, options.resident_kib * 1024);
        for (const std::string& metric_name : options.metrics) {
          const auto metric = parse_enum<Metric>(metric_name, metric_count);
          for (const std::string& shape : options.shapes) {
            Case one = make_case(isa, type, metric, shape, work);
            for (Probe& probe : one.probes) probe.calibrate(sample_seconds);
            for (std::size_t i = 0; i < samples; ++i) {
              for (Probe& probe : one.probes) probe.sample();
            }
            finish(one);
            results.push_back(one.result);
          }
        }
      }
    }
  }
  std::cout << as_table(isas, results);
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << as_json(isas, results, options.resident_kib * 1024, samples);
    file.close();
    if (!file) throw std::runtime_error("cannot write " + options.json);
  }
  return 0;
}

}  // namespace
}  // namespace fastcbir::bench

int main(int argc, char** argv) {
  try {
    return fastcbir::bench::run(fastcbir::bench::parse(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "fastcbir_kernel_bench: " << error.what() << '\n';
    return 2;
  }
}
