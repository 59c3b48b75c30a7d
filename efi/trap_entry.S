/*
 * Entries of all 256 vectors, and the calls that come back from a fault.
 *
 * Each entry pushes what the processor did not (an error code of 0) and, by a call, where it is
 * itself: eight bytes an entry make that its vector. So every handler sees the same struct
 * trap_frame. The processor's calling convention here is Microsoft's: rcx, rdx, r8, r9, and
 * 32 bytes of shadow space.
 */
    .intel_syntax noprefix
    .text

    .altmacro
    .macro vector_entry number
    .p2align 3
    .if (\number == 8) || (\number >= 10 && \number <= 14) || (\number == 17) || (\number == 21) || (\number == 29) || (\number == 30)
    .else
    push 0
    .endif
    call trap_common
    .endm

    .globl trap_entries
    .p2align 3
trap_entries:
    .set vector, 0
    .rept 256
    vector_entry %vector
    .set vector, vector + 1
    .endr

trap_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    lea rax, [rip + trap_entries]
    mov rcx, rsp
    sub [rcx + 120], rax
    shr qword ptr [rcx + 120], 3
    mov rbp, rsp
    and rsp, -16
    sub rsp, 32
    call trap_dispatch
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

/*
 * bool trap_call(struct trap_recovery *recovery, uint64_t (*function)(uint64_t, uint64_t),
 *                uint64_t a, uint64_t b)
 *
 * Calls function(a, b). Returns true, the result in recovery->value, when it returned; false
 * when a handler sent the processor to recovery->resume with recovery->stack as its stack.
 * Both are restored, so it does not matter what the faulting code left on the stack.
 */
    .globl trap_call
    .p2align 4
trap_call:
    push rbx
    push rbp
    push rsi
    push rdi
    push r12
    push r13
    push r14
    push r15
    pushfq
    push rcx
    sub rsp, 40
    mov [rcx], rsp
    lea rax, [rip + trap_resume]
    mov [rcx + 8], rax
    mov rax, rdx
    mov rcx, r8
    mov rdx, r9
    call rax
    mov rcx, [rsp + 40]
    mov [rcx + 16], rax
    mov eax, 1
    jmp 1f
trap_resume:
    xor eax, eax
1:
    add rsp, 40
    pop rcx
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    ret

/* uint64_t probe_load(uint64_t va, uint64_t unused), probe_store(va, value), probe_execute */
    .globl probe_load
    .p2align 4
probe_load:
    mov rax, [rcx]
    ret

    .globl probe_store
    .p2align 4
probe_store:
    mov [rcx], rdx
    xor eax, eax
    ret

    .globl probe_execute
    .p2align 4
probe_execute:
    sub rsp, 40
    call rcx
    add rsp, 40
    ret

/* uint64_t probe_overflow(uint64_t stack, uint64_t unused): push until the stack ends. */
    .globl probe_overflow
    .p2align 4
probe_overflow:
    push rbp
    mov rbp, rsp
    mov rsp, rcx
2:
    push rax
    jmp 2b

/* void run_on_stack(uint64_t top, void (*function)(void *), void *context): never returns. */
    .globl run_on_stack
    .p2align 4
run_on_stack:
    mov rsp, rcx
    sub rsp, 32
    xor ebp, ebp
    mov rcx, r8
    call rdx
3:
    cli
    hlt
    jmp 3b
