# What the extension modules of tests and benchmarks share: they are for the interpreter Python_EXECUTABLE, and compiled
# with the headers that the package carries there. (Those of examples/ stand alone, to be copied.)
# A project that needs more of Python sets python_components before.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_EXTENSIONS OFF)
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module ${python_components})
find_package(Threads REQUIRED)

# ask(NAME command...): what a Python module says of itself
function(ask name)
  execute_process(COMMAND ${Python_EXECUTABLE} -m ${ARGN} OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE answer
                  COMMAND_ERROR_IS_FATAL ANY)
  set(${name} ${answer} PARENT_SCOPE)
endfunction()

ask(agen_ROOT async_generator.bridge --cmake-dir)
find_package(agen CONFIG REQUIRED)

# raw_module(NAME): the module of NAME.cpp, which uses no binding tool
function(raw_module name)
  Python_add_library(${name} MODULE WITH_SOABI ${name}.cpp)
  target_link_libraries(${name} PRIVATE agen::agen Threads::Threads)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wshadow -Werror -fvisibility=hidden)
endfunction()
