process CELLMM_MERGE {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"

    // As in CELLMM_RUN, images, config and checkpoint are inputs so that a container sees them.
    input:
    tuple val(meta), path(plan, stageAs: 'plan/plan.json'), path(pieces, stageAs: 'plan/pieces/*')
    tuple val(meta2), path(images, stageAs: 'images/*')
    tuple val(meta3), path(config), path(checkpoint)

    output:
    tuple val(meta), path("${prefix}"), emit: results
    tuple val("${task.process}"), val('cellmm'), eval("cellmm --version | cut -d ' ' -f 2"), topic: versions, emit: versions_cellmm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    export OMP_NUM_THREADS=${task.cpus}
    cellmm tiles merge \\
        plan \\
        --out ${prefix} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir ${prefix}
    touch ${prefix}/cells.json
    """
}
