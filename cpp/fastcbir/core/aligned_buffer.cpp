// How AlignedBuffer gets its memory: page mappings moved by mremap on Linux, aligned operator new elsewhere.
#include "fastcbir/core/aligned_buffer.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "fastcbir/core/types.hpp"

// Sanitizers see no overflow inside page mappings, so that under them every buffer comes from operator new.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FASTCBIR_PAGE_MAPPINGS 1
#include <sys/mman.h>
#else
#define FASTCBIR_PAGE_MAPPINGS 0
#endif

namespace fastcbir {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

bool is_mapping(std::size_t capacity) { return FASTCBIR_PAGE_MAPPINGS && capacity >= huge_page; }

std::byte* allocate_lines(std::size_t capacity) {
  void* memory = ::operator new (capacity, std::align_val_t{row_alignment});
  std::memset(memory, 0, capacity);
  return static_cast<std::byte*>(memory);
}

void free_lines(std::byte* data) { ::operator delete (data, std::align_val_t{row_alignment}); }

#if FASTCBIR_PAGE_MAPPINGS
// An address range that starts on a huge page: one page more is reserved, and both ends are given back.
std::byte* map_pages(std::size_t capacity) {
  void* reserved =
      mmap(nullptr, capacity + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(reserved);
  const auto address = reinterpret_cast<std::uintptr_t>(reserved);
  const std::size_t before = round_up(address, huge_page) - address;
  std::byte* const aligned = begin + before;
  if (before > 0) munmap(begin, before);
  if (before < huge_page) munmap(aligned + capacity, huge_page - before);
  madvise(aligned, capacity, MADV_HUGEPAGE);
  return aligned;
}

std::byte* remap_pages(std::byte* data, std::size_t from, std::size_t to) {
  if (to <= from) {
    if (to < from) munmap(data + to, from - to);
    return data;
  }
  std::byte* place = map_pages(to);  // takes the place of this mapping, and stays one mapping: mremap moves no more
  if (mremap(data, from, to, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED) {
    munmap(place, to);
    throw std::bad_alloc();
  }
  return place;
}
#else
std::byte* map_pages(std::size_t) { throw std::bad_alloc(); }
std::byte* remap_pages(std::byte*, std::size_t, std::size_t) { throw std::bad_alloc(); }
void munmap(void*, std::size_t) {}
#endif

std::size_t rounded_capacity(std::size_t capacity) {
  return round_up(capacity, is_mapping(capacity) ? huge_page : row_alignment);
}

}  // namespace

AlignedBuffer::~AlignedBuffer() { release(); }

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)),
      used_(std::exchange(other.used_, 0)),
      owner_(std::exchange(other.owner_, nullptr)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    used_ = std::exchange(other.used_, 0);
    owner_ = std::exchange(other.owner_, nullptr);
  }
  return *this;
}

AlignedBuffer AlignedBuffer::borrow(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  AlignedBuffer view;
  view.data_ = const_cast<std::byte*>(bytes.data());  // never written: every writer asserts !borrowed()
  view.size_ = bytes.size();
  view.owner_ = std::move(owner);
  return view;
}

void AlignedBuffer::resize(std::size_t size) {
  assert(!borrowed());
  if (size > capacity_) set_capacity(std::max(size, capacity_ + capacity_ / 2));
  if (size > size_ && used_ > size_) std::memset(data_ + size_, 0, std::min(size, used_) - size_);
  size_ = size;
  used_ = std::max(used_, size);
}

void AlignedBuffer::reserve(std::size_t capacity) {
  assert(!borrowed());
  if (capacity > capacity_) set_capacity(capacity);
}

void AlignedBuffer::shrink_to_fit() {
  if (!borrowed() && rounded_capacity(size_) < capacity_) set_capacity(size_);
}

void AlignedBuffer::set_capacity(std::size_t capacity) {
  if (capacity > static_cast<std::size_t>(-1) / 2) throw std::bad_alloc();
  capacity = rounded_capacity(capacity);
  if (capacity == capacity_) return;
  if (is_mapping(capacity_) && is_mapping(capacity)) {
    data_ = remap_pages(data_, capacity_, capacity);
  } else {
    std::byte* fresh = capacity == 0 ? nullptr : is_mapping(capacity) ? map_pages(capacity) : allocate_lines(capacity);
    if (const std::size_t kept = std::min(size_, capacity); kept > 0) std::memcpy(fresh, data_, kept);
    const std::size_t size = size_;
    release();
    data_ = fresh;
    size_ = size;
    used_ = size;
  }
  capacity_ = capacity;
  used_ = std::min(used_, capacity);
}

void AlignedBuffer::release() noexcept {
  if (owner_) {
    owner_.reset();
  } else if (data_ != nullptr) {
    if (is_mapping(capacity_)) {
      munmap(data_, capacity_);
    } else {
      free_lines(data_);
    }
  }
  data_ = nullptr;
  size_ = capacity_ = used_ = 0;
}

}  // namespace fastcbir
