// The version of the project. It is written here and nowhere else: CMake, pyproject.toml and the tests read this file.
#ifndef AGEN_VERSION_HPP
#define AGEN_VERSION_HPP

#include "detail/compiler.hpp"

#define AGEN_VERSION_MAJOR 2
#define AGEN_VERSION_MINOR 0
#define AGEN_VERSION_PATCH 0

/// One number for comparisons in `#if`: 20103 is version 2.1.3.
#define AGEN_VERSION (AGEN_VERSION_MAJOR * 10000 + AGEN_VERSION_MINOR * 100 + AGEN_VERSION_PATCH)

#endif  // AGEN_VERSION_HPP
