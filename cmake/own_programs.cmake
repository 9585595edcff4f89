# Warnings and sanitizers of the project's own programs, as a target that they link: agen_own.
find_package(Threads REQUIRED)

add_library(agen_own INTERFACE)
target_link_libraries(agen_own INTERFACE agen::agen Threads::Threads)
target_compile_options(agen_own INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Werror)
if(AGEN_SANITIZE)
  target_compile_options(agen_own INTERFACE -fsanitize=${AGEN_SANITIZE} -fno-omit-frame-pointer
                                            -fno-sanitize-recover=all)
  target_link_options(agen_own INTERFACE -fsanitize=${AGEN_SANITIZE})
  # GCC's manual: sanitizers add false positives to this warning. g++ 12 has one about a temporary in a coroutine.
  target_compile_options(agen_own INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
