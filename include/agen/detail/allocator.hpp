// Frames from an allocator: a coroutine whose parameters begin with std::allocator_arg and an allocator or a pointer to
// a memory resource (after the object, if it is a member) gets a promise that allocates with it. Nothing here includes
// <memory>, and generators without an allocator carry nothing of this.
#ifndef AGEN_DETAIL_ALLOCATOR_HPP
#define AGEN_DETAIL_ALLOCATOR_HPP

#include <coroutine>
#include <cstddef>
#include <new>
#include <type_traits>

#include "compiler.hpp"
#include "outcome.hpp"

namespace agen {
template <class Yield, class Send, class Return>
class async_generator;
struct destroyed_on_close;

namespace detail {

template <class T>
concept allocator = requires(T& a, std::size_t n) {
  typename T::value_type;
  a.deallocate(a.allocate(n), n);
};
/// Has what a pointer to std::pmr::memory_resource has.
template <class T>
concept resource_pointer = std::is_pointer_v<T> && requires(T resource, void* p, std::size_t n) {
  resource->deallocate(p, n, n);
  p = resource->allocate(n, n);
};
template <class T>
concept gives_memory = allocator<T> || resource_pointer<T>;
/// Whether a type is named so, in some namespace.
template <class T>
consteval auto is_named_allocator_arg() -> bool {
  constexpr char name[] = "::allocator_arg_t" AGEN_AFTER_TYPE;
  constexpr auto& signature = AGEN_SIGNATURE;
  for (std::size_t at = 0; at + sizeof(name) <= sizeof(signature); ++at) {
    std::size_t same = 0;
    while (same + 1 != sizeof(name) && signature[at + same] == name[same]) ++same;
    if (same + 1 == sizeof(name)) return true;
  }
  return false;
}
/// std::allocator_arg_t, which cannot be named without <memory>: an empty class of that name. A lambda, whose type is
/// incomplete here, and an object whose member function the coroutine is come before an allocator, too.
template <class Tag>
concept allocator_tag = requires { sizeof(Tag); } && std::is_empty_v<Tag> && is_named_allocator_arg<Tag>();
template <class Tag, class Allocator>
concept allocator_follows = gives_memory<std::remove_cvref_t<Allocator>> && allocator_tag<std::remove_cvref_t<Tag>>;

/// std::allocator_traits<A>::rebind_alloc<U> without <memory>.
template <class Allocator, class U>
struct rebind_by_argument;
template <template <class, class...> class Allocator, class T, class... Rest, class U>
struct rebind_by_argument<Allocator<T, Rest...>, U> {
  using type = Allocator<U, Rest...>;
};
template <class Allocator, class U>
struct rebind : rebind_by_argument<Allocator, U> {};
template <class Allocator, class U>
  requires requires { typename Allocator::template rebind<U>::other; }
struct rebind<Allocator, U> {
  using type = typename Allocator::template rebind<U>::other;
};

/// A memory resource as an allocator.
template <class T, class Resource>
struct resource_allocator {
  using value_type = T;
  Resource* from;

  explicit resource_allocator(Resource* resource) noexcept : from(resource) {}
  auto allocate(std::size_t n) -> T* { return static_cast<T*>(from->allocate(n * sizeof(T), alignof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { from->deallocate(p, n * sizeof(T), alignof(T)); }
};
template <class Resource, class U>
struct rebind<Resource*, U> {
  using type = resource_allocator<U, Resource>;
};

/// An allocator without a state, so that any other of its type frees what it has allocated.
template <class Allocator>
concept interchangeable =
    std::is_empty_v<Allocator> && std::is_nothrow_default_constructible_v<Allocator> &&
    (!requires { typename Allocator::is_always_equal; } || requires { requires Allocator::is_always_equal::value; });

/// Adds to a promise the allocation of its frame by `Allocator`, a copy of which is kept behind the frame if it has a
/// state. `Parameters` are the coroutine's own: with a template in place of the exact signature g++ warns of a
/// mismatched operator delete.
template <class Promise, class Allocator, class... Parameters>
class allocating_promise : public Promise {
  static_assert((!std::is_same_v<std::remove_cvref_t<Parameters>, destroyed_on_close> && ...),
                "destroyed_on_close: not for a generator with an allocator; leave one of the two parameters out");

  struct alignas(Allocator) alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) unit {
    unsigned char bytes[__STDCPP_DEFAULT_NEW_ALIGNMENT__];
  };
  using unit_allocator = typename rebind<Allocator, unit>::type;

  static constexpr auto units(std::size_t bytes) noexcept -> std::size_t {
    return (bytes + sizeof(unit) - 1) / sizeof(unit);
  }
  static constexpr bool is_kept = !interchangeable<unit_allocator>;
  static constexpr auto tail = is_kept ? units(sizeof(unit_allocator)) : 0;

  static auto allocate(std::size_t size, Allocator const& from) -> void* {
    unit_allocator a(from);
    unit* block = a.allocate(units(size) + tail);
    if constexpr (is_kept)
      ::new (static_cast<void*>(block + units(size))) unit_allocator(static_cast<unit_allocator&&>(a));
    AGEN_FORGET_ORIGIN(block);
    return block;
  }

 protected:
  template <class Tag, class From, class... Rest>
    requires allocator_follows<Tag, From>
  static auto choose(std::size_t size, Tag const& /*tag*/, From const& from, Rest const&... /*rest*/) -> void* {
    return allocate(size, from);
  }
  template <class Object, class Tag, class From, class... Rest>
    requires allocator_follows<Tag, From>
  static auto choose(std::size_t size, Object const& /*object*/, Tag const& /*tag*/, From const& from,
                     Rest const&... /*rest*/) -> void* {
    return allocate(size, from);
  }

 public:
  static auto operator new(std::size_t size, std::remove_reference_t<Parameters> const&... parameters) -> void* {
    return choose(size, parameters...);
  }
  static void operator delete(void* frame, std::size_t size) noexcept {
    AGEN_FORGET_ORIGIN(frame);
    auto* const block = static_cast<unit*>(frame);
    if constexpr (is_kept) {
      auto* const kept = reinterpret_cast<unit_allocator*>(block + units(size));
      unit_allocator a(static_cast<unit_allocator&&>(*kept));
      kept->~unit_allocator();
      a.deallocate(block, units(size) + tail);
    } else {
      unit_allocator().deallocate(block, units(size));
    }
  }
};

/// The same for a member function, whose object is the first parameter. Where it is a lambda, clang gives operator new
/// the others only.
template <class Promise, class Allocator, class Object, class... Parameters>
class allocating_member_promise : public allocating_promise<Promise, Allocator, Object, Parameters...> {
  using base = allocating_promise<Promise, Allocator, Object, Parameters...>;

 public:
  using base::operator new;
  static auto operator new(std::size_t size, std::remove_reference_t<Parameters> const&... parameters) -> void* {
    return base::choose(size, parameters...);
  }
};

}  // namespace detail
}  // namespace agen

template <class Yield, class Send, class Return, class Tag, class Allocator, class... Rest>
  requires agen::detail::allocator_follows<Tag, Allocator>
struct std::coroutine_traits<agen::async_generator<Yield, Send, Return>, Tag, Allocator, Rest...> {
  using promise_type =
      agen::detail::allocating_promise<typename agen::async_generator<Yield, Send, Return>::promise_type,
                                       std::remove_cvref_t<Allocator>, Tag, Allocator, Rest...>;
};

template <class Yield, class Send, class Return, class Object, class Tag, class Allocator, class... Rest>
  requires std::is_class_v<std::remove_reference_t<Object>> && agen::detail::allocator_follows<Tag, Allocator>
struct std::coroutine_traits<agen::async_generator<Yield, Send, Return>, Object, Tag, Allocator, Rest...> {
  using promise_type =
      agen::detail::allocating_member_promise<typename agen::async_generator<Yield, Send, Return>::promise_type,
                                              std::remove_cvref_t<Allocator>, Object, Tag, Allocator, Rest...>;
};

#endif  // AGEN_DETAIL_ALLOCATOR_HPP
