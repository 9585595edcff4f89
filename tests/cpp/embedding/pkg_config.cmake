# Compiles SOURCE with the flags of pkg-config for the installation at PREFIX, and runs it. The tree is moved first: what
# stands in agen.pc must not depend on where it was installed.
file(REMOVE_RECURSE ${PREFIX}-moved)
file(COPY ${PREFIX}/ DESTINATION ${PREFIX}-moved)
file(GLOB_RECURSE package ${PREFIX}-moved/*/agen.pc)
get_filename_component(folder "${package}" DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${folder})
execute_process(COMMAND ${PKG_CONFIG} --cflags agen OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
if(NOT flags MATCHES "-moved")
  message(FATAL_ERROR "the flags do not lead into the moved tree: ${flags}")
endif()
separate_arguments(flags)
execute_process(COMMAND ${COMPILER} -std=c++20 ${flags} ${SOURCE} -o ${OUTPUT} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${OUTPUT} COMMAND_ERROR_IS_FATAL ANY)
