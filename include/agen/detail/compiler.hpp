// Everything in which compilers differ: attributes, and the few atomic accesses of the protocol (frame.hpp). No other
// header names a compiler.
#ifndef AGEN_DETAIL_COMPILER_HPP
#define AGEN_DETAIL_COMPILER_HPP

// Headers that begin with <coroutine>, or with a header that needs it, include this one first, so that this is the
// first error.
#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 202002L
#error "agen needs C++20 or newer: compile with -std=c++20 (/std:c++20)"
#include <agen/needs_cpp20>  // does not exist: only a missing file ends the compilation before two thousand more errors
#endif

#if defined(__linux__)
#include <features.h>  // __GLIBC__
#endif

#include <exception>
#if defined(__cpp_rtti)
#include <typeinfo>
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include <cxxabi.h>

#include <new>
#endif
#endif

// MSVC's own branches; given on the command line, another compiler parses them (tests/tools/test_compilers.py).
#if defined(_MSC_VER) && !defined(__clang__) && !defined(AGEN_MSVC)
#define AGEN_MSVC
#endif

#ifdef AGEN_MSVC
#include <atomic>
#define AGEN_NOINLINE __declspec(noinline)
#define AGEN_OUT_OF_LINE __declspec(noinline)
#define AGEN_COLD
#define AGEN_ALWAYS_INLINE __forceinline
extern "C" void* _AddressOfReturnAddress(void);  // as in <intrin.h>, which is not there where another one parses this
#pragma intrinsic(_AddressOfReturnAddress)
#define AGEN_FRAME_ADDRESS _AddressOfReturnAddress()
#define AGEN_SIGNATURE __FUNCSIG__
#define AGEN_AFTER_TYPE ">("
#else
#define AGEN_NOINLINE __attribute__((noinline, cold))
#define AGEN_OUT_OF_LINE __attribute__((noinline))  // as hot as its caller
#define AGEN_COLD __attribute__((cold))             // may be inlined
#define AGEN_ALWAYS_INLINE __attribute__((always_inline)) inline
#define AGEN_FRAME_ADDRESS __builtin_frame_address(0)  // where the running function's frame is on the stack
#define AGEN_SIGNATURE __PRETTY_FUNCTION__             // of a template with one parameter, whose type it names
#define AGEN_AFTER_TYPE "]"                            // what follows that type in it
#endif

// Without exceptions (-fno-exceptions), an error that would be thrown ends the program, and there is none to catch.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define AGEN_HAS_EXCEPTIONS true
#define AGEN_TRY try
#define AGEN_CATCH(...) catch (__VA_ARGS__)
#define AGEN_CATCH_FIRST(...) catch (__VA_ARGS__)  // where another one follows
#define AGEN_THROW(...) throw __VA_ARGS__
#define AGEN_RETHROW throw
#else
#define AGEN_HAS_EXCEPTIONS false
#define AGEN_TRY if constexpr (true)
#define AGEN_CATCH(...) else
#define AGEN_CATCH_FIRST(...) else if constexpr (false)
#define AGEN_THROW(...) ::agen::detail::end_by(__VA_ARGS__)
#define AGEN_RETHROW static_cast<void>(0)
#endif

// For a function that is deleted, with what to write instead where the language has that.
#if __cplusplus > 202302L && defined(__cpp_deleted_function)
#define AGEN_DELETED(reason) delete (reason)
#else
#define AGEN_DELETED(reason) delete
#endif

// Before version 17 clang keeps locals of an inlined await_suspend in the coroutine's frame, which another thread may
// run by then (LLVM issue 56301). For every await_suspend that still does something after another side may resume the
// body.
#if defined(__clang__) && __clang_major__ < 17
#define AGEN_AWAIT_SUSPEND __attribute__((noinline))
#else
#define AGEN_AWAIT_SUSPEND
#endif

// Whether co_await uses an awaiter where it is if it gets a reference to it. g++ 12 copies the awaiter, newer ones keep
// the reference in the frame, where it needs as much room as a small awaiter.
#if defined(__clang__)
#define AGEN_AWAITER_BY_REFERENCE true
#else
#define AGEN_AWAITER_BY_REFERENCE false
#endif

// For the destructor of an object that is never destroyed. g++ calls an empty destructor at exit unless it is
// constexpr. clang 19 rejects constexpr where the destructor of a member is not, but leaves out a call that does
// nothing.
#if defined(__GNUC__) && !defined(__clang__)
#define AGEN_EMPTY_DESTRUCTOR constexpr
#else
#define AGEN_EMPTY_DESTRUCTOR
#endif

// For variables of which each extension module has its own, whatever visibility the module is compiled with.
#if defined(__GNUC__) && !defined(_WIN32)
#define AGEN_PYTHON_MODULE_LOCAL __attribute__((visibility("hidden")))
#else
#define AGEN_PYTHON_MODULE_LOCAL
#endif
// For a thread-local that every resumption reads: found without a call of __tls_get_addr. Only glibc keeps room for
// such a one in modules that are loaded later, for a few dozen bytes each; the loaders of musl and bionic refuse the
// module.
#if defined(__GLIBC__)
#define AGEN_STATIC_TLS __attribute__((tls_model("initial-exec")))
#else
#define AGEN_STATIC_TLS
#endif

// For an operator new and delete of our own: where g++ inlines one of them alone, it takes the two for no pair, and
// warns (-Wmismatched-new-delete). So it must not see where memory is from.
#if defined(__GNUC__) && !defined(__clang__)
#define AGEN_FORGET_ORIGIN(pointer) __asm__("" : "+r"(pointer))
#else
#define AGEN_FORGET_ORIGIN(pointer) static_cast<void>(0)
#endif

// AddressSanitizer must see memory freed, not kept for the next time.
#if defined(__SANITIZE_ADDRESS__)
#define AGEN_SANITIZES_ADDRESS true
#elif defined(__has_feature)
#define AGEN_SANITIZES_ADDRESS (__has_feature(address_sanitizer) != 0)
#else
#define AGEN_SANITIZES_ADDRESS false
#endif

// libstdc++ without futexes: a thread in std::binary_semaphore::acquire() may miss the release() and wait for ever
// (seen with g++ 12 for Windows).
#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAVE_LINUX_FUTEX)
#define AGEN_SEMAPHORE_LOSES_SIGNALS true
#else
#define AGEN_SEMAPHORE_LOSES_SIGNALS false
#endif

namespace agen::detail {

// <atomic> costs half a second of compile time under g++ 12, hence the built-ins where the compiler has them. Loads
// and stores of one byte are plain moves on x86. Only `exchange` has a cost, and an item that comes at once needs none.
#ifdef AGEN_MSVC
inline auto load(unsigned char const& from) noexcept -> unsigned char {
  return std::atomic_ref(const_cast<unsigned char&>(from)).load(std::memory_order_acquire);
}
inline void store(unsigned char& to, unsigned char value) noexcept {
  std::atomic_ref(to).store(value, std::memory_order_relaxed);
}
inline auto exchange(unsigned char& at, unsigned char value) noexcept -> unsigned char {
  return std::atomic_ref(at).exchange(value, std::memory_order_acq_rel);
}
inline auto replace(unsigned char& at, unsigned char from, unsigned char value) noexcept -> bool {
  return std::atomic_ref(at).compare_exchange_strong(from, value, std::memory_order_acq_rel);
}
inline void count_up(int& owners) noexcept { std::atomic_ref(owners).fetch_add(1, std::memory_order_relaxed); }
inline auto count_down(int& owners) noexcept -> int {
  return std::atomic_ref(owners).fetch_sub(1, std::memory_order_acq_rel) - 1;
}
#else
AGEN_ALWAYS_INLINE auto load(unsigned char const& from) noexcept -> unsigned char {
  return __atomic_load_n(&from, __ATOMIC_ACQUIRE);
}
AGEN_ALWAYS_INLINE void store(unsigned char& to, unsigned char value) noexcept {
  __atomic_store_n(&to, value, __ATOMIC_RELAXED);
}
inline auto exchange(unsigned char& at, unsigned char value) noexcept -> unsigned char {
  return __atomic_exchange_n(&at, value, __ATOMIC_ACQ_REL);
}
/// Whether it was `from`, and is `value` now.
inline auto replace(unsigned char& at, unsigned char from, unsigned char value) noexcept -> bool {
  return __atomic_compare_exchange_n(&at, &from, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
inline void count_up(int& owners) noexcept { __atomic_fetch_add(&owners, 1, __ATOMIC_RELAXED); }
inline auto count_down(int& owners) noexcept -> int { return __atomic_sub_fetch(&owners, 1, __ATOMIC_ACQ_REL); }
#endif

#if !AGEN_HAS_EXCEPTIONS
/// What a throw becomes.
template <class Error>
[[noreturn]] void end_by(Error const& /*error*/) noexcept {
  std::terminate();
}
#endif

// `throw Error()` in two steps, for an empty Error: a function that is not inlined makes it, and the body throws it.
// The exception then leaves one function less, which is a third of its price; and g++ reserves no registers in the
// body, as it does for an exception that the body makes itself. Where the ABI is not known to have it, the first step
// throws.
#if AGEN_HAS_EXCEPTIONS && defined(__GLIBCXX__) && defined(__cpp_rtti) && !defined(_WIN32)
template <class Error>
auto make_thrown() noexcept -> void* {
  static_assert(__is_empty(Error));
  return ::new (abi::__cxa_allocate_exception(sizeof(Error))) Error();
}
template <class Error>
[[noreturn]] AGEN_ALWAYS_INLINE void throw_made(void* error) {
  abi::__cxa_throw(error, const_cast<std::type_info*>(&typeid(Error)), nullptr);
}
#else
template <class Error>
[[noreturn]] auto make_thrown() -> void* {
  AGEN_THROW(Error());
}
template <class Error>
[[noreturn]] void throw_made(void* /*error*/) {
  std::terminate();
}
#endif

/// Whether an exception is a T and of no class derived from it. False where that is not known without a throw.
template <class T>
auto is_exactly([[maybe_unused]] std::exception_ptr const& error) noexcept -> bool {
#if defined(__GLIBCXX__) && defined(__cpp_rtti)
  auto const* const type = error ? error.__cxa_exception_type() : nullptr;
  return type != nullptr && *type == typeid(T);
#else
  return false;
#endif
}

/// std::addressof without <memory>.
template <class T>
constexpr auto address_of(T& object) noexcept -> T* {
  return __builtin_addressof(object);
}

/// The same pointer, but the compiler no longer knows what it points to.
template <class T>
auto opaque(T* pointer) noexcept -> T* {
#ifdef AGEN_MSVC
  T* volatile hidden = pointer;
  return hidden;
#else
  __asm__("" : "+r"(pointer));
  return pointer;
#endif
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_COMPILER_HPP
