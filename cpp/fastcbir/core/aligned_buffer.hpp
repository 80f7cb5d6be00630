// AlignedBuffer: bytes on cache lines, zero-filled, that grow without a second copy where the system allows it. Floor 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace fastcbir {

// Owns its bytes, or borrows those of a mapped file (then read-only: growing or writing one is an error of ours).
// New bytes are zero. Large buffers ask for huge pages: a graph search touches rows at random, and 4 KiB pages cost a
// table walk for nearly every one of them.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  // A read-only view of `bytes`, which `owner` keeps alive.
  static AlignedBuffer borrow(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

  // Keeps the content up to the smaller of both sizes. Throws std::bad_alloc and then has changed nothing.
  void resize(std::size_t size);
  void reserve(std::size_t capacity);
  void shrink_to_fit();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool borrowed() const { return owner_ != nullptr; }

  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_), size_ / sizeof(T)};
  }

 private:
  void set_capacity(std::size_t capacity);
  void release() noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;  // bytes from here to the capacity have never been written: they are zero
  std::shared_ptr<const void> owner_;
};

}  // namespace fastcbir
