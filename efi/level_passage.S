/*
 * From one number of paging levels to the other; see level_cross.h.
 *
 * Of a register only the lower half survives outside of 64-bit mode: the rest is kept in memory.
 */
    .intel_syntax noprefix
    .text

/* void level_pass(const struct level_crossing *crossing) */
    .globl level_pass
    .p2align 4
level_pass:
    push rbx
    push rbp
    push rsi
    push rdi
    push r12
    push r13
    push r14
    push r15
    mov [rip + own_stack], rsp
    mov rax, [rcx + 24]
    mov [rip + own_root], rax
    mov rax, [rcx]
    mov rdx, [rcx + 8]
    mov rcx, [rcx + 16]
    mov cr3, rax
    jmp rcx

    .globl level_passed
level_passed:
    mov rax, [rip + own_root]
    mov cr3, rax
    mov rsp, [rip + own_stack]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    ret

/* ---- copied into the page: edx is the root to arrive on, the data segment is flat ---- */

    .globl level_page
    .p2align 4
level_page:
    lgdt [rip + gdt_limit]
    lea rsi, [rip + level_page_slots]
    lea rax, [rip + narrow]
    push 0x18
    push rax
    retfq

    .code32
narrow:
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov eax, cr4
    xor eax, 0x1000
    mov cr4, eax
    mov cr3, edx
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp fword ptr [esi]

    .code64
wide:
    jmp [rip + back]

/* struct level_page_slots: filled in once it is known where the page lies. */
    .globl level_page_slots
    .p2align 3
level_page_slots:
    .long wide - level_page
    .word 0x08
gdt_limit:
    .word gdt_end - gdt - 1
    .quad gdt - level_page
back:
    .quad 0
gdt: /* all are accessed already: the page cannot be written to */
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code, ring 0: what cpu_load_segments() has there */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00cf9b000000ffff /* 32-bit code */
gdt_end:
    .globl level_page_end
level_page_end:

    .bss
    .p2align 3
own_stack:
    .quad 0
own_root:
    .quad 0
