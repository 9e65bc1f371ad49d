process CELLMM_RUN {
    tag "$meta.id $piece"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"

    // The plan names images, config and checkpoint by their paths in the task that planned; they are inputs here so
    // that a container sees them.
    input:
    tuple val(meta), path(plan, stageAs: 'plan/plan.json'), val(piece)
    tuple val(meta2), path(images, stageAs: 'images/*')
    tuple val(meta3), path(config), path(checkpoint)

    output:
    tuple val(meta), path("plan/pieces/*.npz"), emit: piece
    tuple val("${task.process}"), val('cellmm'), eval("cellmm --version | cut -d ' ' -f 2"), topic: versions, emit: versions_cellmm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    export OMP_NUM_THREADS=${task.cpus}
    cellmm tiles run \\
        plan \\
        --piece ${piece} \\
        ${args}
    """

    stub:
    """
    mkdir -p plan/pieces
    touch plan/pieces/${piece}.npz
    """
}
