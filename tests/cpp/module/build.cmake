# Compiles the module unit and a program that imports it, and runs that. COMPILER is a clang.
execute_process(COMMAND ${COMPILER} -std=c++20 -I${INCLUDE} --precompile -x c++-module ${INCLUDE}/agen/agen.cppm
                        -o ${SCRATCH}/agen.pcm COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${COMPILER} -std=c++20 -c ${SCRATCH}/agen.pcm -o ${SCRATCH}/agen.o COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${COMPILER} -std=c++20 -fmodule-file=agen=${SCRATCH}/agen.pcm ${SOURCE} ${SCRATCH}/agen.o
                        -o ${SCRATCH}/imports_agen COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${SCRATCH}/imports_agen COMMAND_ERROR_IS_FATAL ANY)
