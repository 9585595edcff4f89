// Every difference between compilers and their targets, and nothing else.
#ifndef ASYNC_GENERATOR_ENGINE_COMPILER_HPP
#define ASYNC_GENERATOR_ENGINE_COMPILER_HPP

// What every item needs of a thread is found without a call: the module is loaded early enough for static TLS, of which
// it takes 24 bytes. MSVC's thread_local needs no model.
#if defined(__GNUC__)
#define ENGINE_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#else
#define ENGINE_INITIAL_EXEC
#endif

#endif
