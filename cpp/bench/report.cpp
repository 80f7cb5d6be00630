#include "report.hpp"

#include <cstdio>

namespace fastcbir::bench {
namespace {

template <class... Arguments>
std::string text(const char* format, Arguments... arguments) {
  char buffer[256];
  std::snprintf(buffer, sizeof(buffer), format, arguments...);
  return buffer;
}

std::string times_json(const char* name, const Times& times) {
  return text("\"%s\": {\"best\": %.4f, \"median\": %.4f}", name, times.best, times.median);
}

}  // namespace

std::string as_table(const std::vector<IsaResult>& isas, const std::vector<KernelResult>& results) {
  std::string table;
  for (const IsaResult& isa : isas)
    table += text("%-11s %7.1f fused multiply-adds a nanosecond on registers\n", isa.isa.c_str(), isa.fused_per_ns);
  table +=
      "\nrows resident in L2; ns are the best of the run, in brackets the median; share = binding limit / distance\n";
  table +=
      "isa         type     metric shape      dim   ns/distance (median)   load ns  arith ns  GB/s   share  bound by\n";
  for (const KernelResult& r : results) {
    table += text("%-11s %-8s %-6s %-8s %5zu %10.2f (%8.2f) %9.2f %9.2f %6.1f %6.1f%%  %s\n", r.isa.c_str(),
                  r.type.c_str(), r.metric.c_str(), r.shape.c_str(), r.dim, r.distance.best, r.distance.median,
                  r.load.best, r.arithmetic.best, static_cast<double>(r.row_bytes) / r.distance.best,
                  100 * r.share_of_limit(), r.load.best > r.arithmetic.best ? "loads" : "arithmetic");
  }
  return table;
}

std::string as_json(const std::vector<IsaResult>& isas, const std::vector<KernelResult>& results,
                    std::size_t resident_bytes, std::size_t samples) {
  std::string json =
      text("{\n  \"resident_bytes\": %zu,\n  \"samples\": %zu,\n  \"unit\": \"ns per distance\",\n  \"isas\": [",
           resident_bytes, samples);
  for (std::size_t i = 0; i < isas.size(); ++i) {
    json += text("%s\n    {\"isa\": \"%s\", \"fused_multiply_adds_per_ns\": %.2f}", i == 0 ? "" : ",",
                 isas[i].isa.c_str(), isas[i].fused_per_ns);
  }
  json += "\n  ],\n  \"kernels\": [";
  for (std::size_t i = 0; i < results.size(); ++i) {
    const KernelResult& r = results[i];
    json += text(
        "%s\n    {\"isa\": \"%s\", \"type\": \"%s\", \"metric\": \"%s\", \"shape\": \"%s\", \"dim\": %zu, "
        "\"row_bytes\": %zu, ",
        i == 0 ? "" : ",", r.isa.c_str(), r.type.c_str(), r.metric.c_str(), r.shape.c_str(), r.dim, r.row_bytes);
    json += times_json("distance", r.distance) + ", " + times_json("load", r.load) + ", " +
            times_json("arithmetic", r.arithmetic);
    json += text(", \"share_of_limit\": %.4f}", r.share_of_limit());
  }
  return json + "\n  ]\n}\n";
}

}  // namespace fastcbir::bench
