// load_index: from a file's header to an index of the right kind. Floor 5.
#include <string>

#include "fastcbir/index/flat_index.hpp"
#include "fastcbir/index/hnsw_index.hpp"
#include "fastcbir/index/ivf_index.hpp"
#include "fastcbir/io/reader.hpp"

namespace fastcbir {

std::unique_ptr<Index> load_index(const std::filesystem::path& path, bool mapped, bool verify) {
  const io::Reader reader(path, verify);
  const io::Header& header = reader.header();
  if (header.metric >= metric_count || header.scalar_type >= scalar_type_count || header.dim == 0 ||
      header.dim > Space::max_dim) {
    reader.fail("is damaged: its header names a metric, a number type or a dimension that does not exist");
  }
  const Space space(header.dim, static_cast<Metric>(header.metric), static_cast<ScalarType>(header.scalar_type));
  switch (static_cast<io::IndexKind>(header.kind)) {
    case io::IndexKind::flat: return std::make_unique<FlatIndex>(space, reader, mapped);
    case io::IndexKind::hnsw: return std::make_unique<HnswIndex>(space, reader, mapped, verify);
    case io::IndexKind::ivf:
    case io::IndexKind::imi: return std::make_unique<IvfIndex>(space, reader, mapped, verify);
  }
  reader.fail("holds an index of kind " + std::to_string(header.kind) + ", which this fastcbir does not know");
}

}  // namespace fastcbir
