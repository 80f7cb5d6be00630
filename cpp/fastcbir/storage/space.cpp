#include "fastcbir/storage/space.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "fastcbir/kernels/dispatch.hpp"

namespace fastcbir {
namespace {

// Sums in double, in one order for all instruction sets; four at a time, since one after the other would take longer than
// a search's distances do.
template <class T>
double squared_norm(const T* values, std::size_t dim) {
  double sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= dim; i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      sums[lane] += static_cast<double>(values[i + lane]) * static_cast<double>(values[i + lane]);
    }
  }
  for (; i < dim; ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

[[noreturn]] void refuse(const char* what, std::size_t row, const std::string& why) {
  throw std::invalid_argument(std::string(what) + " row " + std::to_string(row) + " " + why);
}

}  // namespace

Space::Space(std::size_t dim, Metric metric, ScalarType type)
    : dim_(dim), metric_(metric), type_(type), table_(&kernels::active()) {
  if (dim == 0 || dim > max_dim) {
    throw std::invalid_argument("dim must be in 1.." + std::to_string(max_dim) + ", got " + std::to_string(dim));
  }
  stride_bytes_ = round_up(dim * bytes_of(type), row_alignment);
  query_stride_bytes_ = stride_bytes_ / bytes_of(type) * query_bytes_of(type);
  kernels_ = kernels::distance_kernels(*table_, type, normalises() ? Metric::ip : metric);
}

void Space::check_input(const void* rows, std::size_t count, const char* what) const {
  const bool is_float = query_bytes_of(type_) == 4;
  for (std::size_t row = 0; row < count; ++row) {
    const auto* bytes = static_cast<const std::byte*>(rows) + row * input_bytes();
    if (is_float) {
      const auto* values = reinterpret_cast<const float*>(bytes);
      const double norm2 = table_->squared_norm(values, dim_);
      if (!std::isfinite(norm2)) {
        const auto at = std::find_if(values, values + dim_, [](float x) { return !std::isfinite(x); }) - values;
        refuse(what, row,
               "has " + std::to_string(values[at]) + " in column " + std::to_string(at) +
                   "; every coordinate must be finite");
      }
      if (metric_ == Metric::cosine && norm2 == 0) {
        refuse(what, row, "is all zeros, which has no direction: cosine is undefined for it");
      }
      if (type_ == ScalarType::f16 && metric_ != Metric::cosine) {
        const auto at = std::find_if(values, values + dim_, [](float x) { return std::fabs(x) >= 65520.f; }) - values;
        if (static_cast<std::size_t>(at) < dim_) {
          refuse(what, row,
                 "has " + std::to_string(values[at]) + " in column " + std::to_string(at) +
                     "; float16 holds at most 65504, use dtype float32");
        }
      }
    } else if (metric_ == Metric::cosine &&
               std::all_of(bytes, bytes + dim_, [](std::byte x) { return x == std::byte{0}; })) {
      refuse(what, row, "is all zeros, which has no direction: cosine is undefined for it");
    }
  }
}

void Space::normalise(const float* from, float* to) const {
  table_->scale(from, 1 / std::sqrt(table_->squared_norm(from, dim_)), to, dim_);
}

void Space::encode(const void* input, std::byte* row) const {
  std::memset(row, 0, stride_bytes_);
  switch (type_) {
    case ScalarType::f32: {
      auto* to = reinterpret_cast<float*>(row);
      if (normalises()) {
        normalise(static_cast<const float*>(input), to);
      } else {
        std::memcpy(to, input, dim_ * sizeof(float));
      }
      break;
    }
    case ScalarType::f16: {
      auto* to = reinterpret_cast<std::uint16_t*>(row);
      const auto* from = static_cast<const float*>(input);
      if (normalises()) {
        thread_local std::vector<float> unit;
        unit.resize(dim_);
        normalise(from, unit.data());
        from = unit.data();
      }
      table_->f32_to_f16(from, to, dim_);
      break;
    }
    case ScalarType::u8:
    case ScalarType::i8: std::memcpy(row, input, dim_); break;
  }
}

void Space::decode(const std::byte* row, void* input) const {
  if (type_ == ScalarType::f16) {
    table_->f16_to_f32(reinterpret_cast<const std::uint16_t*>(row), static_cast<float*>(input), dim_);
  } else {
    std::memcpy(input, row, input_bytes());
  }
}

void Space::row_floats(const std::byte* row, float* floats) const {
  switch (type_) {
    case ScalarType::f32: std::memcpy(floats, row, dim_ * sizeof(float)); break;
    case ScalarType::f16: table_->f16_to_f32(reinterpret_cast<const std::uint16_t*>(row), floats, dim_); break;
    case ScalarType::u8: std::copy_n(reinterpret_cast<const std::uint8_t*>(row), dim_, floats); break;
    case ScalarType::i8: std::copy_n(reinterpret_cast<const std::int8_t*>(row), dim_, floats); break;
  }
}

void Space::prepare(const void* input, PreparedQuery& query) const {
  query.buffer.resize(query_stride_bytes_);
  std::byte* data = query.buffer.data();
  query.inverse_norm = 1;
  if (normalises()) {
    normalise(static_cast<const float*>(input), reinterpret_cast<float*>(data));
  } else {
    std::memcpy(data, input, input_bytes());
  }
  if (const std::size_t used = input_bytes(); used < query_stride_bytes_) {
    std::memset(data + used, 0, query_stride_bytes_ - used);
  }
  if (metric_ == Metric::cosine && !normalises()) query.inverse_norm = inverse_norm(data);
}

RowQuery Space::row_query(const std::byte* row, PreparedQuery& scratch) const {
  if (type_ == ScalarType::f16) {
    scratch.buffer.resize(query_stride_bytes_);
    // Padding is zero in both, so that whole rows can be converted.
    table_->f16_to_f32(reinterpret_cast<const std::uint16_t*>(row), reinterpret_cast<float*>(scratch.buffer.data()),
                       stride_bytes_ / 2);
    return {scratch.buffer.data(), 1};
  }
  if (metric_ == Metric::cosine && !normalises()) return {row, inverse_norm(row)};
  return {row, 1};
}

float Space::inverse_norm(const std::byte* row) const {
  const double norm2 = type_ == ScalarType::u8 ? squared_norm(reinterpret_cast<const std::uint8_t*>(row), dim_)
                                               : squared_norm(reinterpret_cast<const std::int8_t*>(row), dim_);
  return norm2 > 0 ? static_cast<float>(1 / std::sqrt(norm2)) : 0;
}

float Space::norm(const std::byte* row) const {
  const auto of = [&](const auto* values) { return static_cast<float>(std::sqrt(squared_norm(values, dim_))); };
  switch (type_) {
    case ScalarType::u8: return of(reinterpret_cast<const std::uint8_t*>(row));
    case ScalarType::i8: return of(reinterpret_cast<const std::int8_t*>(row));
    case ScalarType::f32: return of(reinterpret_cast<const float*>(row));
    case ScalarType::f16: break;
  }
  std::vector<float> values(dim_);
  decode(row, values.data());
  return of(values.data());
}

float Space::nearness_offset(const PreparedQuery& query, float largest_norm) const {
  switch (metric_) {
    case Metric::l2: return 0;
    case Metric::cosine: return 1 / query.inverse_norm;
    case Metric::ip: break;
  }
  const std::byte* data = query.buffer.data();
  const double norm2 = type_ == ScalarType::u8   ? squared_norm(reinterpret_cast<const std::uint8_t*>(data), dim_)
                       : type_ == ScalarType::i8 ? squared_norm(reinterpret_cast<const std::int8_t*>(data), dim_)
                                                 : squared_norm(reinterpret_cast<const float*>(data), dim_);
  return static_cast<float>(std::sqrt(norm2)) * largest_norm;
}

float Space::finish(float value, const PreparedQuery& query) const {
  // Rounding may carry a cosine beyond 1; a distance below 0 would surprise everyone.
  return metric_ == Metric::cosine ? std::max(0.0f, 1 + value * query.inverse_norm) : value;
}

float Space::unfinish(float distance, const PreparedQuery& query) const {
  return metric_ == Metric::cosine ? (distance - 1) / query.inverse_norm : distance;
}

}  // namespace fastcbir
